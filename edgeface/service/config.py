"""Config: the service's settings, read strictly from one TOML file.

Takes in a TOML file, hands on a frozen `Config` with every default filled in. An unknown key, a
value of the wrong kind or without its unit is an error that names the key and the nearest right
one; nothing is guessed, and a file with one wrong key is not half used.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from edgeface.decide import DEFAULT_FPIR
from edgeface.errors import ConfigError
from edgeface.gallery.choice import model_for
from edgeface.gallery.gallery import default_gallery_path
from edgeface.liveness import Profile
from edgeface.sinks.settings import (
    ExecSettings,
    GpioSettings,
    HistorySettings,
    MqttSettings,
    SnapshotsSettings,
    StdoutSettings,
    WebhookSettings,
)
from edgeface.sources import SourceSettings, is_live
from edgeface.system.address import Address
from edgeface.system.secret import Secret
from edgeface.system.settings import FPS, LONGEST, SettingsTable, between, lasts
from edgeface.system.units import Seconds, seconds, size

SYSTEM_CONFIG = Path("/etc/edgeface/edgeface.toml")
SYSTEM_STATE = Path("/var/lib/edgeface")  # StateDirectory of the unit
MOST_FPIR = 0.1
LEAST_FPS = 5.0  # below it a face is seen too rarely to be followed
_PATHS = {"spec", "ca_file", "ca", "gallery", "model", "file", "folder", "socket"} | {
    "admin_socket",
    "password_file",
    "secret_file",
}


class RecognitionSettings(SettingsTable, frozen=True, kw_only=True):
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

    @property
    def gallery_path(self) -> Path:
        """The gallery that these settings name, else the usual one."""
        return Path(self.gallery) if self.gallery else default_gallery_path()

    @property
    def model_file(self) -> Path:
        """The file of the model that these settings name, else of the one chosen for the gallery.

        Raises ModelError where that choice cannot be read.
        """
        return model_for(self.gallery_path, self.model)

    def __post_init__(self) -> None:
        if not 0 < self.fpir <= MOST_FPIR:
            raise ValueError(
                f"fpir must lie between 0 and {MOST_FPIR:g}, for example 0.01: with more, one "
                "stranger in ten is taken for somebody"
            )
        if not 1 <= self.agree <= self.of <= 50:
            raise ValueError("agree must lie between 1 and of, and of must be at most 50")
        if not 16 <= self.smallest_face <= 1000:
            raise ValueError("smallest_face must lie between 16 and 1000 pixels")
        between("least_quality", self.least_quality, 0, 1)


class LivenessSettings(SettingsTable, frozen=True, kw_only=True):
    """[liveness]: what a face must show besides its likeness before it is recognized."""

    profile: str | None = None

    def __post_init__(self) -> None:
        if self.profile is not None and self.profile not in set(Profile):
            known = ", ".join(f'"{profile}"' for profile in Profile)
            raise ValueError(f'profile must be one of {known}, not "{self.profile}"')


class PowerSettings(SettingsTable, frozen=True, kw_only=True):
    """[power]: how hard the machine may work."""

    idle_fps: float = 5.0
    warm: float = 70.0
    hot: float = 80.0

    def __post_init__(self) -> None:
        between("idle_fps", self.idle_fps, *FPS)
        if not 0 < self.warm < self.hot <= 200:
            raise ValueError("warm must be below hot, and hot at most 200 (degrees Celsius)")


class LockoutSettings(SettingsTable, frozen=True, kw_only=True):
    """[lockout]: what happens after too many refused attempts."""

    attempts: int = 5
    door_attempts: int = 20
    window: Seconds = Seconds(300)
    duration: Seconds = Seconds(60)
    count_unknown: bool = False
    count_spoof: bool = True
    ignore_still: bool = False

    def __post_init__(self) -> None:
        between("attempts", self.attempts, 1, 1000)
        between("door_attempts", self.door_attempts, 1, 1000)
        lasts("window", self.window, 1, LONGEST)
        lasts("duration", self.duration, 1, LONGEST)


class ControlSettings(SettingsTable, frozen=True, kw_only=True):
    """[control]: the sockets through which other programs ask and administer."""

    socket: str = "/run/edgeface/control.sock"
    group: str = "edgeface"
    admin_socket: str | None = None
    admin_group: str = "edgeface-admin"

    @property
    def admin_path(self) -> Path:
        """The socket of who may administer."""
        return Path(self.admin_socket) if self.admin_socket else admin_socket(Path(self.socket))


def admin_socket(socket: Path) -> Path:
    """Where the socket for administering is, if the settings name none: in a folder of its own,
    whose group the system has set, or beside a `socket` that is elsewhere than usual."""
    if socket == Path(ControlSettings().socket):
        return Path("/run/edgeface-admin/control.sock")
    return socket.with_name(f"{socket.stem}-admin{socket.suffix}")


class AuditSettings(SettingsTable, frozen=True, kw_only=True):
    """[audit]: the record of who changed what through the service."""

    file: str | None = None
    age: Seconds = Seconds(365 * 86400)

    def __post_init__(self) -> None:
        lasts("age", self.age, 86400, 10 * LONGEST)


class RulesSettings(SettingsTable, frozen=True, kw_only=True):
    """[rules]: what the rules of single people need; clock: "trusted" where the machine's time is
    right though nothing confirms it."""

    clock: Literal["checked", "trusted"] = "checked"


class Config(SettingsTable, frozen=True, kw_only=True):
    """All settings. A sink whose table is missing is off."""

    source: SourceSettings = SourceSettings()
    recognition: RecognitionSettings = RecognitionSettings()
    liveness: LivenessSettings = LivenessSettings()
    power: PowerSettings = PowerSettings()
    lockout: LockoutSettings = LockoutSettings()
    control: ControlSettings | None = None
    audit: AuditSettings = AuditSettings()
    rules: RulesSettings = RulesSettings()
    stdout: StdoutSettings | None = StdoutSettings()
    mqtt: MqttSettings | None = None
    webhook: WebhookSettings | None = None
    exec: ExecSettings | None = None
    gpio: GpioSettings | None = None
    snapshots: SnapshotsSettings | None = None
    history: HistorySettings | None = None

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
        return Profile.STANDARD if is_live(self.source) else Profile.CONVENIENCE


def state_folder(config: Config) -> Path:
    """Where the service keeps what must survive a restart: systemd's StateDirectory, else beside
    the gallery."""
    given = os.environ.get("STATE_DIRECTORY")
    return Path(given.split(":")[0]) if given else config.recognition.gallery_path.parent


def audit_path(config: Config) -> Path:
    """The audit log's file."""
    chosen = config.audit.file
    return Path(chosen) if chosen else state_folder(config) / "audit.jsonl"


def history_path(config: Config) -> Path:
    """The history's file, in a folder that holds nothing else."""
    chosen = config.history.file if config.history is not None else None
    return Path(chosen) if chosen else state_folder(config) / "history" / "events.sqlite"


def secrets_in(config: Config) -> list[str]:
    """The keys whose secret stands in the settings themselves, "source.password" for instance."""
    found = []
    for table in config.__struct_fields__:
        settings = getattr(config, table)
        for key in getattr(settings, "__struct_fields__", ()):
            value = getattr(settings, key)
            if isinstance(value, Secret):
                standing = value.written_out
            else:
                standing = isinstance(value, Address) and value.holds_secrets
            if standing:
                found.append(f"{table}.{key}")
    return found


def load_config(path: Path) -> Config:
    """Read and check a file. Raises ConfigError with one sentence that names the key."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no settings file {path}; check the path") from None
    except PermissionError:
        raise ConfigError(
            f"you may not read the settings {path}, which may hold secrets; use sudo, or join the "
            "group edgeface"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read the settings {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    _refuse_unknown(tables, path)
    _refuse_tilde(tables, path)
    try:
        return msgspec.convert(tables, Config, dec_hook=_of_text)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = where.strip(".`") or "the file"
        raise ConfigError(f"{path}: {key}: {_plain(what)}") from None


def _of_text(kind: type, value: object) -> object:
    """What msgspec does not know itself."""
    if kind is Secret:
        return Secret.of_setting(value)
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


def _refuse_tilde(tables: dict[str, Any], path: Path) -> None:
    """A service has no home: taken as it is, ~ would be a folder of that name."""
    for name, table in tables.items():
        for key, value in table.items():
            if key in _PATHS and isinstance(value, str) and value.startswith("~/"):
                raise ConfigError(
                    f"{path}: {name}.{key}: {value} begins with ~, which only a shell replaces; "
                    "write the path in full"
                )


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
