"""Events by HTTP POST, signed.

Takes in events, posts each as JSON, one after the other: the next waits until the one before was
accepted (any 2xx) or refused for good (any 3xx, and any 4xx but 408, 425 and 429).
`X-EdgeFace-Signature` is "sha256=" and the HMAC-SHA256 of the body with the shared secret;
`X-EdgeFace-Id` stays the same when an event is sent again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import logging

from edgeface.errors import ConfigError
from edgeface.events import Event, to_json
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Left, SinkError
from edgeface.sinks.settings import WebhookSettings
from edgeface.system.address import Address
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
            digest = hmac.new(self._secret.open().encode(), body, hashlib.sha256).hexdigest()
            headers["X-EdgeFace-Signature"] = f"sha256={digest}"
        status = self._post(body, headers)
        if 200 <= status < 300:
            return
        if 300 <= status < 500 and status not in _AGAIN:
            _log.error("the webhook refused event %s with status %d", event.id, status)
            return
        raise SinkError(f"{self._url.place} answered with status {status}")

    def idle(self) -> float:
        return 60.0

    def close(self) -> None:
        """Nothing stays open between events."""

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        https = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
        target = self._url.target.open()
        path = target if target.startswith("/") else f"/{target}"
        try:
            connection = kind(self._url.host, self._url.port, timeout=self._timeout)
            try:
                connection.request("POST", path, body, headers)
                return connection.getresponse().status
            finally:
                connection.close()
        except OSError as error:
            raise SinkError(f"{self._url.place} cannot be reached ({error})") from None
        except (http.client.HTTPException, ValueError) as error:
            # Without its text, which may quote what was sent.
            reason = type(error).__name__
            raise SinkError(f"{self._url.place} does not speak HTTP ({reason})") from None


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
