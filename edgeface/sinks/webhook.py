"""Events by HTTP POST, signed.

Takes in events, posts each as JSON, one after the other: the next waits until the one before was
accepted (any 2xx) or refused for good (any 3xx, and any 4xx but 408, 425 and 429).
`X-EdgeFace-Signature` is "sha256=" and the HMAC-SHA256 of the body with the shared secret;
`X-EdgeFace-Id` stays the same when an event is sent again.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import urllib.parse

from edgeface.events import Event, to_json
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import SinkError
from edgeface.sinks.secrets import read_secret
from edgeface.sinks.settings import WebhookSettings

_log = logging.getLogger("edgeface.sinks")
_AGAIN = {408, 425, 429}  # refusals that ask to come back later


class Webhook:
    """Posts to one URL; redirects are not followed, since they would lead events elsewhere."""

    name = "webhook"

    def __init__(self, settings: WebhookSettings) -> None:
        self._timeout = float(settings.timeout)
        self._url = urllib.parse.urlsplit(settings.url)
        named = settings.secret_file
        self._secret = read_secret(named).encode() if named is not None else None

    def deliver(self, event: Event, picture: Picture | None) -> None:
        body = to_json(event)
        headers = {"Content-Type": "application/json", "X-EdgeFace-Id": event.id}
        if self._secret is not None:
            digest = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
            headers["X-EdgeFace-Signature"] = f"sha256={digest}"
        status = self._post(body, headers)
        if 200 <= status < 300:
            return
        if 300 <= status < 500 and status not in _AGAIN:
            _log.error("the webhook refused event %s with status %d", event.id, status)
            return
        raise SinkError(f"{self._url.netloc} answered with status {status}")

    def idle(self) -> float:
        return 60.0

    def close(self) -> None:
        """Nothing stays open between events."""

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        https = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
        path = urllib.parse.urlunsplit(("", "", self._url.path or "/", self._url.query, ""))
        try:
            connection = kind(self._url.hostname or "", self._url.port, timeout=self._timeout)
            try:
                connection.request("POST", path, body, headers)
                return connection.getresponse().status
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SinkError(f"{self._url.hostname} cannot be reached ({error})") from None
