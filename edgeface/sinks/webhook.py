"""Events by HTTP POST, signed.

Takes in events, posts each as JSON, one after the other: the next waits until the one before was
accepted (any 2xx) or refused for good (any 3xx, and any 4xx but 408, 425 and 429).
`X-EdgeFace-Time-Signature` is "sha256=" and the HMAC-SHA256, with the shared secret, of
`X-EdgeFace-Time` (Unix seconds of sending), a dot and the body; `X-EdgeFace-Signature` is that of
the body alone. `X-EdgeFace-Id` stays the same when an event is sent again. An attempt has one
deadline, for everything from the host's name to the answer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import logging
import ssl
import time

from edgeface.errors import ConfigError
from edgeface.events import Event, to_json
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Left, SinkError, Undelivered
from edgeface.sinks.settings import WebhookSettings
from edgeface.system.address import Address
from edgeface.system.connection import Deadline, HttpConnection
from edgeface.system.secret import Secret

_log = logging.getLogger("edgeface.sinks")
_AGAIN = {408, 425, 429}  # refusals that ask to come back later


class Webhook:
    """Posts to one URL; redirects are not followed, since they would lead events elsewhere."""

    name = "webhook"

    def __init__(self, settings: WebhookSettings) -> None:
        self.acts = settings.trigger
        self._timeout = float(settings.timeout)
        self._url = Address.of(settings.url)
        named = settings.secret_file
        self._secret = None if named is None else Secret(Secret.named(named).open())
        self._authorization = _authorization(settings, self._url)

    def deliver(self, event: Event, picture: Picture | None, left: Left) -> None:
        body = to_json(event)
        headers = {"Content-Type": "application/json", "X-EdgeFace-Id": event.id}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization.open()
        if self._secret is not None:
            sent = str(int(time.time()))
            headers["X-EdgeFace-Time"] = sent
            headers["X-EdgeFace-Time-Signature"] = _signature(
                self._secret, sent.encode() + b"." + body
            )
            headers["X-EdgeFace-Signature"] = _signature(self._secret, body)
        limit = min(self._timeout, left()) if self.acts else self._timeout
        status = self._post(body, headers, limit)
        if 200 <= status < 300:
            return
        if 300 <= status < 500 and status not in _AGAIN:
            _log.error("the webhook refused event %s with status %d", event.id, status)
            raise Undelivered(_refusal(self._url.place, status))
        raise SinkError(f"{self._url.place} answered with status {status}")

    def idle(self) -> float:
        return 60.0

    def close(self) -> None:
        """Nothing stays open between events."""

    def _post(self, body: bytes, headers: dict[str, str], limit: float) -> int:
        context = ssl.create_default_context() if self._url.scheme == "https" else None
        connection = HttpConnection(self._url.host, self._url.port, Deadline(limit), context)
        target = self._url.target.open()
        path = target if target.startswith("/") else f"/{target}"
        try:
            connection.request("POST", path, body, headers)
            return connection.getresponse().status
        except OSError as error:
            raise SinkError(f"{self._url.place} cannot be reached ({error})") from None
        except (http.client.HTTPException, ValueError) as error:
            # Without its text, which may quote what was sent.
            reason = type(error).__name__
            raise SinkError(f"{self._url.place} does not speak HTTP ({reason})") from None
        finally:
            connection.abort()  # what is still on its way must not arrive later


def _refusal(place: str, status: int) -> str:
    """A sentence for an answer that will be the same next time."""
    if status < 400:
        return (
            f"{place} answered with a redirect (status {status}), which is not followed; write the "
            "address that it leads to as [webhook] url"
        )
    return f"{place} refused an event with status {status}; check [webhook] url and authorization"


def _signature(secret: Secret, signed: bytes) -> str:
    return f"sha256={hmac.new(secret.open().encode(), signed, hashlib.sha256).hexdigest()}"


def _authorization(settings: WebhookSettings, url: Address) -> Secret | None:
    """What the header Authorization says; read now, so that a missing secret is noticed at once."""
    if settings.authorization is not None:
        text = settings.authorization.open()
        if not text.isascii() or not text.isprintable():
            raise ConfigError("webhook.authorization must be one line of ASCII: write it again")
        return Secret(text)
    if url.user is None:
        return None
    login = f"{url.user.open()}:{url.password.open() if url.password else ''}"
    return Secret(f"Basic {base64.b64encode(login.encode()).decode()}")
