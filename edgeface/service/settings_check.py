"""Settings check: what is wrong with settings that are well formed.

Takes in a `Config`, hands on the warnings, or raises ConfigError for what can never work: an extra
that is not installed, a program that is missing, a URL that means something else than it says. It
changes nothing and connects to nobody.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import msgspec

from edgeface.errors import ConfigError
from edgeface.gallery.file import is_sealed_file
from edgeface.service.config import Config
from edgeface.sinks.gpio import Held
from edgeface.sinks.settings import MqttSettings
from edgeface.sources import is_camera, needs_network
from edgeface.system.address import Address
from edgeface.system.gpio_lines import holder

CREDENTIALS = Path("/etc/edgeface/credentials")
_GPIO_NOTE = Path("/run/edgeface/gpio.json")  # which pin the running service itself holds
_NODE = re.compile(r"[a-zA-Z0-9_-]+")  # what Home Assistant takes in a discovery topic


def check_settings(config: Config) -> list[str]:
    """Warnings: what may be there by the time the service starts. ConfigError for an error."""
    for error in _errors(config):
        raise ConfigError(error)
    return [*_warnings(config)]


def _errors(config: Config) -> Iterator[str]:
    yield from _missing_extras(config)
    if isinstance(config.source.spec, Address):
        yield from _wrong_address("source.spec", config.source.spec)
    if config.webhook is not None:
        yield from _wrong_address("webhook.url", Address.of(config.webhook.url))
    if config.mqtt is not None:
        yield from _against_home_assistant(config.mqtt)
    if config.exec is not None:
        yield from _not_a_program(Path(config.exec.command[0]))
    if config.gpio is not None:
        yield from _taken_pin(config.gpio.pin)
    yield from _missing_files(config)


def _missing_extras(config: Config) -> Iterator[str]:
    needed = {
        "mqtt": ("paho", config.mqtt is not None, "[mqtt]"),
        "gpio": ("gpiozero", config.gpio is not None, "[gpio]"),
        "crypto": (
            "cryptography",
            is_sealed_file(config.recognition.gallery_path),
            "the encrypted gallery",
        ),
    }
    for extra, (module, wanted, what) in needed.items():
        if wanted and find_spec(module) is None:
            yield (
                f"{what} needs the package {module}, which is not installed; run: pip install "
                f"'edgeface[{extra}]'"
            )


def _wrong_address(key: str, url: Address) -> Iterator[str]:
    """What stands in a URL though no URL holds it; it would be sent as something else."""
    odd = url.odd_character
    if odd is None:
        return
    if odd in url.host:
        advice = "write the host's name in its ASCII form (xn--...)"
    else:
        written = "".join(f"%{byte:02X}" for byte in odd.encode())
        advice = f"remove it, or write it as {written}"
    what = "a space" if odd == " " else f"the character {odd!r}"
    yield f"{key} holds {what}, which no URL does; {advice}"


def _against_home_assistant(mqtt: MqttSettings) -> Iterator[str]:
    if mqtt.discovery and not _NODE.fullmatch(mqtt.client):
        yield (
            f'mqtt.client "{mqtt.client}" is not one that Home Assistant takes for discovery; '
            "use letters, digits, - and _ alone, or switch it off: discovery = false"
        )


def _not_a_program(path: Path) -> Iterator[str]:
    try:
        state = path.stat()
    except PermissionError:
        return  # the service's user may look where this one may not
    except OSError as error:
        yield f"exec.command: there is no program {path} ({error.strerror}); check its path"
        return
    if path.is_dir() or not state.st_mode & 0o111:
        yield f"exec.command: {path} is not a program; run: chmod +x {path}, or check its path"


def _taken_pin(pin: int) -> Iterator[str]:
    by = holder(pin)
    if by is None or _held_by_the_service(pin):
        return
    yield (
        f"gpio.pin: GPIO {pin} is held by {by or 'another program'} already; choose another pin, "
        "or end what holds it (see: gpioinfo)"
    )


def _held_by_the_service(pin: int) -> bool:
    try:
        return msgspec.json.decode(_GPIO_NOTE.read_bytes(), type=Held).pin == pin
    except (OSError, msgspec.MsgspecError):
        return False


def _missing_files(config: Config) -> Iterator[str]:
    named = {
        "mqtt.ca": config.mqtt.ca if config.mqtt else None,
        "mqtt.password_file": config.mqtt.password_file if config.mqtt else None,
        "webhook.secret_file": config.webhook.secret_file if config.webhook else None,
        "source.ca_file": config.source.ca_file,
        "recognition.model": config.recognition.model,
    }
    for key, value in named.items():
        if value is None:
            continue
        path = Path(value)
        if value.startswith("credential:"):
            if not os.access(CREDENTIALS, os.X_OK):
                continue
            path = CREDENTIALS / value.removeprefix("credential:")
        with suppress(PermissionError):  # the service's user may look where this one may not
            if not path.exists():
                yield f"{key}: there is no file {path}; write it, or check its name"


def _warnings(config: Config) -> Iterator[str]:
    spec = config.source.spec
    if spec == "picamera2":
        if find_spec("picamera2") is None:
            yield (
                "the source picamera2 needs the package python3-picamera2, which is not in this "
                "environment"
            )
    elif is_camera(spec):
        device = Path(f"/dev/video{int(spec)}" if spec.isdecimal() else spec)
        if not device.exists():
            yield f"there is no camera {device} now"
    elif not needs_network(spec) and not Path(spec).exists():
        yield f"there is no source {spec} now"
