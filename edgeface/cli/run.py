"""`edgeface run`"""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from edgeface.cli import options
from edgeface.cli.ownership import work_as_owner
from edgeface.cli.paths import UserPath
from edgeface.errors import ConfigError
from edgeface.liveness import Profile
from edgeface.service.config import SYSTEM_CONFIG, Config, LivenessSettings, load_config
from edgeface.service.control import ControlServer
from edgeface.service.loop import Service
from edgeface.service.notify import Notifier
from edgeface.sources import SourceSettings

_log = logging.getLogger("edgeface.service")


@click.command("run")
@click.option(
    "--config",
    "config_path",
    type=UserPath(path_type=Path, dir_okay=False),
    help=f"Settings file; the service's is {SYSTEM_CONFIG}.",
)
@click.option(
    "--source", help="picamera2, a camera's number, a picture, folder or video, or a URL."
)
@click.option("--max-frames", type=click.IntRange(1), help="End after this many frames.")
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    help="Proof of life needed to be recognized: none, passive cues (the default, except for "
    "recordings), or passive cues and a challenge.",
)
@options.gallery
@options.model
@click.option("--json", "_json", is_flag=True, help="Events are JSON lines with or without it.")
def command(
    config_path: Path | None,
    source: str | None,
    max_frames: int | None,
    profile: str | None,
    gallery: Path | None,
    model: Path | None,
    _json: bool,
) -> None:
    """Watch a camera and print one event per line: who was recognized, who is unknown."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")

    def load() -> Config:
        config = load_config(config_path) if config_path else Config()
        return with_options(config, source, gallery, model, profile)

    config = load()
    path = config.recognition.gallery_path
    work_as_owner(path)
    with ExitStack() as stack:
        service = stack.enter_context(Service(config, Notifier(), load if config_path else None))
        # Before the sockets are there: whoever sees them may also stop or reload the service.
        signal.signal(signal.SIGTERM, lambda *_: service.stop())
        signal.signal(signal.SIGINT, lambda *_: service.stop())
        signal.signal(signal.SIGHUP, lambda *_: service.reload())
        if config.control is not None:
            given = os.environ.get("EDGEFACE_GATE")  # set by the unit that has a gate
            gate = Path(given) if given else None
            stack.enter_context(ControlServer(config.control, service.desk.submit, gate))
        if not os.path.lexists(path):
            _log.warning(
                "there is no gallery %s: nobody is recognized until somebody is enrolled", path
            )
        service.run(max_frames)


def _with_source(settings: SourceSettings, spec: str) -> SourceSettings:
    """The same but for what is watched, which does not get another camera's password."""
    try:
        return msgspec.structs.replace(settings, spec=spec, user=None, password=None, ca_file=None)
    except ValueError as error:
        raise ConfigError(f"--source: {error}") from None


def with_options(
    config: Config,
    source: str | None,
    gallery: Path | None,
    model: Path | None,
    profile: str | None = None,
) -> Config:
    """The settings, overridden by the command line's options."""
    replaced = msgspec.structs.replace
    if source is not None:
        config = replaced(config, source=_with_source(config.source, source))
    recognition = config.recognition
    if gallery is not None:
        recognition = replaced(recognition, gallery=str(gallery))
    if model is not None:
        recognition = replaced(recognition, model=str(model))
    if profile is not None:
        config = replaced(config, liveness=LivenessSettings(profile=profile))
    return replaced(config, recognition=recognition)
