"""Install: puts the systemd unit in place, for the environment that it is called from.

Takes in the packaged unit, settings and drop-ins, writes them under `root` ("/" but for staging and
tests) and asks systemd to take notice. Settings that are there already are never overwritten, but
closed to everybody but root and the group of the service.
"""

from __future__ import annotations

import contextlib
import grp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

import edgeface
from edgeface.errors import ConfigError
from edgeface.service.config import Config, load_config
from edgeface.service.notify import NO_PICTURE
from edgeface.service.outlets import NETWORKED
from edgeface.sinks.settings import MqttSettings
from edgeface.sources import needs_network
from edgeface.system.storage import write_atomically

UNIT = "edgeface.service"
_GATE = "edgeface-gate.service"  # which the unit wants and takes along
CONSOLE = "edgeface-console.service"  # which is there to be enabled, and is not by itself
_ALL_UNITS = (UNIT, _GATE, CONSOLE)
GROUP = "edgeface"
SETTINGS_MODE = 0o640
PACKAGED = Path("usr/lib/systemd/system") / UNIT
_UNITS = Path("etc/systemd/system")
_SETTINGS = Path("etc/edgeface/edgeface.toml")
CREDENTIALS = Path("etc/edgeface/credentials")
_SYSUSERS = Path("etc/sysusers.d/edgeface.conf")
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))


def install(root: Path) -> list[Path]:
    """Write everything; returns what was written. ConfigError when it may not be."""
    settings = root / _SETTINGS
    written = []
    if not _packaged(root):
        written += [
            *(
                _put(root / _UNITS / name, _for_this_environment(_template(name)))
                for name in _ALL_UNITS
            ),
            _put(root / _SYSUSERS, _template("edgeface.sysusers")),
        ]
    if not settings.exists():
        written.append(_put(settings, _template("edgeface.toml"), SETTINGS_MODE))
    close_settings(root)
    (root / CREDENTIALS).mkdir(mode=0o700, parents=True, exist_ok=True)
    config = load_config(settings)
    written += _drop_in(root, "network.conf", _template("network.conf"), _wants_network(config))
    text = _for_this_environment(_template("gpio.conf"))
    written += _drop_in(root, "gpio.conf", text, config.gpio is not None)
    key = (root / CREDENTIALS / "gallery-key").exists()
    written += _drop_in(root, "key.conf", _template("key.conf"), key)
    homes = _paths_in_homes()
    text = _template("home.conf").replace("@PATHS@", " ".join(map(_quoted, homes)))
    for name in _ALL_UNITS:
        written += _drop_in(root, "home.conf", text, bool(homes), name)
    return written


def close_settings(root: Path) -> None:
    """Let only root change the settings, and only the service's group read them."""
    settings = root / _SETTINGS
    try:
        with contextlib.suppress(KeyError):  # the group comes with the user, after a first install
            if os.geteuid() == 0:
                os.chown(settings, 0, grp.getgrnam(GROUP).gr_gid, follow_symlinks=False)
        if not settings.is_symlink():
            settings.chmod(SETTINGS_MODE)
    except OSError as error:
        raise ConfigError(f"cannot close {settings} ({error.strerror}); run with sudo") from None


def uninstall(root: Path) -> list[Path]:
    """Remove the unit; settings, credentials and gallery stay. Returns what was removed."""
    found = [*(root / _UNITS / name for name in _ALL_UNITS), root / _SYSUSERS]
    gone = [path for path in found if path.exists()]
    for path in gone:
        path.unlink()
    for name in _ALL_UNITS:
        folder = root / _UNITS / f"{name}.d"
        if folder.is_dir():
            gone.append(folder)
            shutil.rmtree(folder)
    return gone


def _packaged(root: Path) -> bool:
    """Whether a Debian package brought this environment, and with it the unit and the user."""
    unit = root / PACKAGED
    return unit.exists() and _for_this_environment("ExecStart=@EDGEFACE@ ") in unit.read_text()


def systemctl(*arguments: str) -> str:
    """Run systemctl; returns what it prints, ConfigError if it is not there or fails."""
    return _run("systemctl", *arguments)


def start_service() -> str | None:
    """Have systemd start the service now and at every boot, and wait for its first picture.

    Returns what it still waits for, None where all is well. Raises ConfigError with the service's
    own last words where it does not start.
    """
    systemctl("enable", UNIT)
    try:
        systemctl("restart", UNIT)  # returns when the service is ready, or has failed
    except ConfigError as error:
        raise ConfigError(f"the service does not start: {_last_words() or error}") from None
    status = systemctl("show", UNIT, "--property=StatusText", "--value").strip()
    return status if NO_PICTURE in status else None


def _last_words() -> str:
    """The last sentence of the service itself in the journal, "" where it cannot be read."""
    try:
        told = _run("journalctl", "--unit", UNIT, "--lines=40", "--output=cat", "--no-pager")
    except ConfigError:
        return ""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith(("edgeface: ", "ERROR "))]
    others = [line for line in lines if not line.startswith((UNIT, "Start", "Stop", "Failed"))]
    return next(iter((own or others)[-1:]), "").removeprefix("edgeface: ").removeprefix("ERROR ")


def make_user() -> None:
    """Create the service's user and groups as the sysusers file says; a package has done it."""
    if Path("/", _SYSUSERS).exists():
        _run("systemd-sysusers", f"/{_SYSUSERS}")


def with_password_from_its_file(settings: MqttSettings) -> MqttSettings:
    """The same settings for a command beside the service, to which systemd hands no credentials."""
    named = settings.password_file
    if named is None or not named.startswith("credential:"):
        return settings
    path = Path("/") / CREDENTIALS / named.removeprefix("credential:")
    return msgspec.structs.replace(settings, password_file=str(path))


def _wants_network(config: Config) -> bool:
    sinks = any(getattr(config, name) is not None for name in NETWORKED)
    return sinks or needs_network(config.source.spec)


def _drop_in(root: Path, name: str, text: str, wanted: bool, unit: str = UNIT) -> list[Path]:
    path = root / _UNITS / f"{unit}.d" / name
    if wanted:
        return [_put(path, text)]
    path.unlink(missing_ok=True)
    return []


def _put(path: Path, text: str, mode: int = 0o644) -> Path:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomically(path, [text.encode()], mode=mode)
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({error.strerror}); run with sudo") from None
    return path


def _template(name: str) -> str:
    here = Path(edgeface.__file__).resolve().parent
    folder = here / "packaging"
    return ((folder if folder.is_dir() else here.parent / "packaging") / name).read_text()


def _for_this_environment(text: str) -> str:
    """A unit's text with the command of this environment; `-` before it stays before its path."""
    program, *rest = _program()
    for prefix in ("-", ""):
        words = " ".join([_quoted(prefix + program), *map(_quoted, rest)])
        # A command's words, unlike paths elsewhere, are also searched for variables.
        text = text.replace(f"{prefix}@EDGEFACE@", words.replace("$", "$$"))
    return text


def _program() -> list[str]:
    """The command of the environment that this runs in."""
    program = Path(sys.prefix) / "bin" / "edgeface"
    return [str(program)] if program.exists() else [sys.executable, "-m", "edgeface"]


def _quoted(word: str | Path) -> str:
    """A word of a unit, where a space ends a word and % begins a specifier."""
    text = str(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return text if re.fullmatch(r"[\w@%+=:,./$-]+", text) else f'"{text}"'


def _paths_in_homes() -> list[Path]:
    """The folders that the service reads its programs from, as far as they lie in homes."""
    used = {
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(edgeface.__file__).resolve().parent.parent,
    }
    return sorted(path for path in used if any(path.is_relative_to(home) for home in _HOMES))


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise ConfigError(f"{command[0]} is not there: this system does not run systemd") from None
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
        raise ConfigError(f"{' '.join(command)} failed: {reason[0]}")
    return done.stdout
