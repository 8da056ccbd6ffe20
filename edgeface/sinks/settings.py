"""Settings of the sinks: the tables that say which events go where.

Takes in the values of a table, refuses those that cannot be. It opens nothing.
"""

from __future__ import annotations

import re
import socket
import unicodedata

import msgspec

from edgeface.events import EVENT_TYPES, EventType
from edgeface.gallery.names import person_name
from edgeface.sinks import FRESHNESS
from edgeface.system.address import Address
from edgeface.system.secret import Secret
from edgeface.system.settings import LONGEST, TIMEOUT, SettingsTable, between, lasts
from edgeface.system.units import Bytes, Seconds

_LONGEST = 60_000  # bytes of a client or topic, so that what is added still fits MQTT's 65,535


class OutletSettings(SettingsTable, frozen=True, kw_only=True):
    """What all sinks share: which events they get, and how many wait while it is away."""

    events: tuple[EventType, ...] = ("recognized", "unknown", "lockout")
    queue: int = 1000

    def __post_init__(self) -> None:
        if not 1 <= self.queue <= 100_000:
            raise ValueError("queue must lie between 1 and 100000 events")


class FreshSettings(OutletSettings, frozen=True, kw_only=True):
    """What sinks share that act upon events, or let others act.

    freshness: how long after its frame an event may be acted upon.
    """

    freshness: Seconds = Seconds(FRESHNESS)

    def __post_init__(self) -> None:
        super().__post_init__()
        lasts("freshness", self.freshness, 0.1, 60)


class StdoutSettings(OutletSettings, frozen=True, kw_only=True):
    """[stdout]: events as JSON lines, which the journal keeps."""

    events: tuple[EventType, ...] = EVENT_TYPES


class MqttSettings(FreshSettings, frozen=True, kw_only=True):
    """[mqtt]: an MQTT broker, with Home Assistant's discovery.

    Where `client` and `topic` are not given they come from the host's name, so that two doors with
    the same settings are two. discovery: the topic under which Home Assistant listens; false: none.
    """

    events: tuple[EventType, ...] = ("recognized", "unknown", "not_live", "lockout")
    host: str
    port: int = 1883
    tls: bool = False
    ca: str | None = None
    user: str | None = None
    password_file: str | None = None
    topic: str = msgspec.field(default_factory=lambda: f"edgeface/{host_name()}")
    discovery: str | bool | None = "homeassistant"
    client: str = msgspec.field(default_factory=lambda: f"edgeface-{host_name()}")

    def __post_init__(self) -> None:
        super().__post_init__()
        between("port", self.port, 1, 65535)
        if set(self.host) & set("/@?"):
            raise ValueError("host must be a name or an address; port and user are other keys")
        _can_be_published("topic", self.topic)
        if not 1 <= len(self.client.encode()) <= _LONGEST:
            raise ValueError(f"client must have 1 to {_LONGEST} bytes")
        discovery = "homeassistant" if self.discovery is True else self.discovery or None
        if discovery is not None:
            _can_be_published("discovery", discovery)
        msgspec.structs.force_setattr(self, "discovery", discovery)

    @property
    def node(self) -> str:
        """What stands for this client in the topics of discovery, which take few characters."""
        return re.sub(r"[^a-zA-Z0-9_-]", "_", self.client)


def host_name() -> str:
    """This machine's name without its domain, with nothing but letters, digits, - and _."""
    name = re.sub(r"[^a-zA-Z0-9_-]", "-", socket.gethostname().partition(".")[0])
    return name.strip("-") or "door"


def _can_be_published(key: str, topic: str) -> None:
    """ValueError for a topic that no broker or Home Assistant takes."""
    if not 1 <= len(topic.encode()) <= _LONGEST:
        raise ValueError(f"{key} must have 1 to {_LONGEST} bytes")
    for character in topic:
        if character in "+#" or unicodedata.category(character) in ("Cc", "Cn"):
            raise ValueError(f"{key} must not hold {character!r}: nothing is published there")
    if topic.startswith("$"):
        raise ValueError(f"{key} must not begin with $, which is the broker's own")


class WebhookSettings(FreshSettings, frozen=True, kw_only=True):
    """[webhook]: an HTTP POST for each event; trigger: whether the receiver acts upon it."""

    url: str
    trigger: bool = False
    authorization: Secret | None = None
    secret_file: str | None = None
    timeout: Seconds = Seconds(10)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.url.lower().startswith(("http://", "https://")):
            raise ValueError("url must begin with http:// or https://")
        url = Address.of(self.url, "url")
        msgspec.structs.force_setattr(self, "url", url)
        if self.authorization is not None and url.user is not None:
            raise ValueError("authorization is there, and a user in url, too; keep one of them")
        lasts("timeout", self.timeout, *TIMEOUT)


class ExecSettings(FreshSettings, frozen=True, kw_only=True):
    """[exec]: a program for each event, which gets it on stdin."""

    command: tuple[str, ...]
    timeout: Seconds = Seconds(10)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.command or not self.command[0].startswith("/"):
            raise ValueError('command must be a list that begins with a full path: ["/usr/bin/x"]')
        lasts("timeout", self.timeout, *TIMEOUT)


class GpioSettings(FreshSettings, frozen=True, kw_only=True):
    """[gpio]: an output that is on for a while after a recognition, a relay for instance."""

    events: tuple[EventType, ...] = ("recognized",)
    pin: int
    pulse: Seconds = Seconds(3)
    active_high: bool = True
    people: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        between("pin", self.pin, 0, 53)
        if self.people is not None:
            people = tuple(person_name(name) for name in self.people)
            msgspec.structs.force_setattr(self, "people", people)
        lasts("pulse", self.pulse, 0.01, 86400)


class SnapshotsSettings(OutletSettings, frozen=True, kw_only=True):
    """[snapshots]: a folder of face pictures; off unless the table is there."""

    events: tuple[EventType, ...] = ("recognized", "unknown")
    queue: int = 20
    folder: str = "/var/lib/edgeface/snapshots"
    size: Bytes = Bytes(200_000_000)
    age: Seconds = Seconds(7 * 86400)


class HistorySettings(OutletSettings, frozen=True, kw_only=True):
    """[history]: past events in a local file; off unless the table is there.

    queue: how many wait while the file cannot be written.
    """

    events: tuple[EventType, ...] = tuple(
        kind for kind in EVENT_TYPES if kind not in {"prompt", "challenge"}
    )
    file: str | None = None
    age: Seconds = Seconds(90 * 86400)
    size: Bytes = Bytes(50_000_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        lasts("age", self.age, 3600, 10 * LONGEST)
        if not 1_000_000 <= self.size <= 10_000_000_000:
            raise ValueError('size must lie between "1 MB" and "10 GB"')
