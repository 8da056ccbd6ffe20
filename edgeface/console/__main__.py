"""Serves the console: `edgeface console` becomes this program once it has read the settings.

Takes in the options as one line of JSON, serves until SIGTERM. Settings, pipeline and gallery code
are not loaded here, which keeps the console small.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvicorn

from edgeface.console.app import build
from edgeface.console.certificate import fingerprint, own
from edgeface.console.options import ConsoleOptions
from edgeface.errors import EdgeFaceError

_MOST_CONNECTIONS = 64


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End at a signal, and do not send it to oneself again: the unit lets it send none."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield


def serve(options: ConsoleOptions) -> None:
    """Listen and serve. Raises ConfigError where the certificate cannot be used."""
    certificate: Path | None = None
    key: Path | None = None
    if options.lan:
        if options.certificate is not None:
            certificate, key = options.certificate, options.key
        else:
            certificate, key = own(options.state, ("localhost", *options.names))
        print(f"the certificate's SHA-256 fingerprint: {fingerprint(certificate)}", flush=True)
    scheme = "https" if options.lan else "http"
    name = options.names[0] if options.lan and options.names else "localhost"
    print(f"the console listens at {scheme}://{name}:{options.port}/", flush=True)
    config = uvicorn.Config(
        build(options),
        host=options.address,
        port=options.port,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        h11_max_incomplete_event_size=16 * 1024,
        timeout_graceful_shutdown=2,
    )
    _Server(config).run()


def main() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        serve(msgspec.json.decode(sys.argv[1], type=ConsoleOptions, dec_hook=_path))
    except (EdgeFaceError, OSError) as error:
        print(f"edgeface: {error}", file=sys.stderr)
        sys.exit(2)


def _path(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(kind)


if __name__ == "__main__":
    main()
