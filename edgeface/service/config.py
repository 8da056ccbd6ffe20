"""Config: the service's settings, read strictly from one TOML file.

Takes in a TOML file, hands on a frozen `Config` with every default filled in. An unknown key, a
value of the wrong kind or without its unit is an error that names the key and the nearest right
one; nothing is guessed, and a file with one wrong key is not half used.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import urllib.parse
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from edgeface.decide import DEFAULT_FPIR
from edgeface.errors import ConfigError
from edgeface.liveness import Profile
from edgeface.sources import Settings, is_live
from edgeface.system.units import Bytes, Seconds, seconds, size

SYSTEM_CONFIG = Path("/etc/edgeface/edgeface.toml")

Subject = Literal[
    "recognized",
    "unknown",
    "not_live",
    "challenge",
    "lockout",
    "gallery_restored",
    "source_lost",
    "source_back",
    "sink_failed",
]
SUBJECTS: tuple[str, ...] = get_args(Subject)


_FPS = (0.1, 1000)  # frames a second
LEAST_FPS = 5.0  # below it a face is seen too rarely to be followed
_PIXELS = (16, 10_000)
_TIMEOUT = (0.1, 600)  # seconds
_LONGEST = 366 * 86400.0  # seconds


def _between(key: str, value: float, least: float, most: float) -> None:
    """ValueError unless the number lies there; "nan" lies nowhere."""
    if not least <= value <= most:
        raise ValueError(f"{key} must lie between {least:g} and {most:g}")


def _lasts(key: str, value: Seconds, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f'{key} must lie between "{least:g} s" and "{most:g} s"')


def _usable(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("url must name a host, and its port must lie between 1 and 65535")


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: unknown keys are errors."""


class Source(_Table, frozen=True, kw_only=True):
    """[source]: where frames come from."""

    spec: str = "picamera2"
    width: int = 1280
    height: int = 720
    fps: float = 15.0
    rotation: Literal[0, 90, 180, 270] = 0
    mirror: bool = False
    pace: Literal["own", "fast"] = "fast"
    loop: bool = False

    def __post_init__(self) -> None:
        _between("width", self.width, *_PIXELS)
        _between("height", self.height, *_PIXELS)
        _between("fps", self.fps, *_FPS)

    def settings(self) -> Settings:
        return Settings(**msgspec.structs.asdict(self))


class Recognition(_Table, frozen=True, kw_only=True):
    """[recognition]: who is told apart, and how sure it must be."""

    gallery: str | None = None
    model: str | None = None
    fpir: float = DEFAULT_FPIR
    smallest_face: int = 60
    agree: int = 3
    of: int = 5
    least_quality: float = 0.1
    recheck: Seconds = Seconds(3)
    cooldown: Seconds = Seconds(30)

    def __post_init__(self) -> None:
        if not 0 < self.fpir < 1:
            raise ValueError("fpir must lie between 0 and 1, for example 0.01")
        if not 1 <= self.agree <= self.of <= 50:
            raise ValueError("agree must lie between 1 and of, and of must be at most 50")
        if not 16 <= self.smallest_face <= 1000:
            raise ValueError("smallest_face must lie between 16 and 1000 pixels")
        _between("least_quality", self.least_quality, 0, 1)


class LivenessSettings(_Table, frozen=True, kw_only=True):
    """[liveness]: what a face must show besides its likeness before it is recognized."""

    profile: str | None = None

    def __post_init__(self) -> None:
        if self.profile is not None and self.profile not in set(Profile):
            known = ", ".join(f'"{profile}"' for profile in Profile)
            raise ValueError(f'profile must be one of {known}, not "{self.profile}"')


class Power(_Table, frozen=True, kw_only=True):
    """[power]: how hard the machine may work."""

    idle_fps: float = 5.0
    warm: float = 70.0
    hot: float = 80.0

    def __post_init__(self) -> None:
        _between("idle_fps", self.idle_fps, *_FPS)
        if not 0 < self.warm < self.hot <= 200:
            raise ValueError("warm must be below hot, and hot at most 200 (degrees Celsius)")


class Lockout(_Table, frozen=True, kw_only=True):
    """[lockout]: what happens after too many refused attempts in a row."""

    attempts: int = 5
    duration: Seconds = Seconds(60)
    count_unknown: bool = False
    count_spoof: bool = True

    def __post_init__(self) -> None:
        _between("attempts", self.attempts, 1, 1000)
        _lasts("duration", self.duration, 1, _LONGEST)


class Control(_Table, frozen=True, kw_only=True):
    """[control]: the socket through which other programs ask."""

    socket: str = "/run/edgeface/control.sock"
    group: str = "edgeface"


class _Outlet(_Table, frozen=True, kw_only=True):
    """What all sinks share: which events they get, and how many wait while it is away."""

    events: tuple[Subject, ...] = ("recognized", "unknown", "lockout")
    queue: int = 1000

    def __post_init__(self) -> None:
        if not 1 <= self.queue <= 100_000:
            raise ValueError("queue must lie between 1 and 100000 events")


class Stdout(_Outlet, frozen=True, kw_only=True):
    """[stdout]: events as JSON lines, which the journal keeps."""

    events: tuple[Subject, ...] = get_args(Subject)


class Mqtt(_Outlet, frozen=True, kw_only=True):
    """[mqtt]: an MQTT broker, with Home Assistant's discovery."""

    host: str
    port: int = 1883
    tls: bool = False
    ca: str | None = None
    user: str | None = None
    password_file: str | None = None
    topic: str = "edgeface"
    discovery: str | None = "homeassistant"
    client: str = "edgeface"

    def __post_init__(self) -> None:
        super().__post_init__()
        _between("port", self.port, 1, 65535)


class Webhook(_Outlet, frozen=True, kw_only=True):
    """[webhook]: an HTTP POST for each event."""

    url: str
    secret_file: str | None = None
    timeout: Seconds = Seconds(10)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("url must begin with http:// or https://")
        _usable(self.url)
        _lasts("timeout", self.timeout, *_TIMEOUT)


class Exec(_Outlet, frozen=True, kw_only=True):
    """[exec]: a program for each event, which gets it on stdin."""

    command: tuple[str, ...]
    timeout: Seconds = Seconds(10)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.command or not self.command[0].startswith("/"):
            raise ValueError('command must be a list that begins with a full path: ["/usr/bin/x"]')
        _lasts("timeout", self.timeout, *_TIMEOUT)


class Gpio(_Outlet, frozen=True, kw_only=True):
    """[gpio]: an output that is on for a while after a recognition, a relay for instance."""

    events: tuple[Subject, ...] = ("recognized",)
    pin: int
    pulse: Seconds = Seconds(3)
    active_high: bool = True
    people: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _between("pin", self.pin, 0, 53)
        _lasts("pulse", self.pulse, 0.01, 86400)


class Snapshots(_Outlet, frozen=True, kw_only=True):
    """[snapshots]: a folder of face pictures; off unless the table is there."""

    events: tuple[Subject, ...] = ("recognized", "unknown")
    queue: int = 20
    folder: str = "/var/lib/edgeface/snapshots"
    size: Bytes = Bytes(200_000_000)
    age: Seconds = Seconds(7 * 86400)


class Config(_Table, frozen=True, kw_only=True):
    """All settings. A sink whose table is missing is off."""

    source: Source = Source()
    recognition: Recognition = Recognition()
    liveness: LivenessSettings = LivenessSettings()
    power: Power = Power()
    lockout: Lockout = Lockout()
    control: Control | None = None
    stdout: Stdout | None = Stdout()
    mqtt: Mqtt | None = None
    webhook: Webhook | None = None
    exec: Exec | None = None
    gpio: Gpio | None = None
    snapshots: Snapshots | None = None

    def __post_init__(self) -> None:
        if self.profile.judged and self.source.fps < LEAST_FPS:
            raise ValueError(
                f"source.fps must be at least {LEAST_FPS:g} for liveness to be judged; raise it, "
                'or choose [liveness] profile = "convenience"'
            )

    @property
    def profile(self) -> Profile:
        """What a face must show. Where none is chosen, `standard` before whatever runs at its own
        time, and nothing of a recording that is merely gone through: nobody stands there."""
        if self.liveness.profile is not None:
            return Profile(self.liveness.profile)
        return Profile.STANDARD if is_live(self.source.settings()) else Profile.CONVENIENCE


def load_config(path: Path) -> Config:
    """Read and check a file. Raises ConfigError with one sentence that names the key."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no settings file {path}; check the path") from None
    except OSError as error:
        raise ConfigError(f"cannot read the settings {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    _refuse_unknown(tables, path)
    try:
        return msgspec.convert(tables, Config, dec_hook=_with_unit)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = where.strip(".`") or "the file"
        raise ConfigError(f"{path}: {key}: {_plain(what)}") from None


def _with_unit(kind: type, value: object) -> object:
    return seconds(value) if kind is Seconds else size(value)


def _plain(what: str) -> str:
    """msgspec's sentence in words of the file: `Expected `int`, got `str`` and the like."""
    return re.sub(r"`(\w+)`", r"\1", what[:1].lower() + what[1:])


def _refuse_unknown(tables: dict[str, Any], path: Path) -> None:
    for name, table in tables.items():
        if name not in Config.__struct_fields__:
            raise _unknown(path, name, list(Config.__struct_fields__), _homes(name))
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name} is a table; write [{name}] on a line of its own")
        known = _keys(name)
        for key in table:
            if key not in known:
                raise _unknown(path, f"{name}.{key}", [f"{name}.{k}" for k in known], _homes(key))


def _keys(table: str) -> tuple[str, ...]:
    """The keys of a table of Config, whose type is a struct or a struct or None."""
    kind = {field.name: field.type for field in msgspec.structs.fields(Config)}[table]
    struct = next(t for t in (kind, *get_args(kind)) if hasattr(t, "__struct_fields__"))
    return tuple(struct.__struct_fields__)


def _homes(key: str) -> list[str]:
    """Where a key of this name does belong."""
    return [f"{table}.{key}" for table in Config.__struct_fields__ if key in _keys(table)]


def _unknown(path: Path, key: str, known: list[str], homes: list[str]) -> ConfigError:
    last = {name.rpartition(".")[2]: name for name in known}
    near = homes or [
        last[n] for n in difflib.get_close_matches(key.rpartition(".")[2], last, 1, 0.5)
    ]
    hint = f"the nearest is {near[0]}" if near else f"there are: {', '.join(known)}"
    return ConfigError(f"{path}: there is no setting {key}; {hint}")
