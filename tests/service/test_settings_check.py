"""`config check` finds what is well formed and cannot work, and notes what may still come."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeface.cli import main
from edgeface.service import settings_check
from edgeface.service.config import load_config
from tests.helpers.command import Outcome, call

Check = Callable[..., Outcome]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def run(text: str, *more: str) -> Outcome:
        file = tmp_path / "edgeface.toml"
        file.write_text(text)
        return call(main, "config", "check", file, *more)

    return run


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[webhook]\nurl = "http://example.org/my hook"', ["webhook.url", "a space", "%20"]),
        ('[webhook]\nurl = "http://example.org/tür"', ["webhook.url", "'ü'", "%C3%BC"]),
        ('[webhook]\nurl = "http://tür.example/x"', ["webhook.url", "'ü'", "xn--"]),
        ('[source]\nspec = "rtsp://camera/stream 1"', ["source.spec", "a space", "%20"]),
        ('[mqtt]\nhost = "x"\nclient = "front door"', ["mqtt.client", "discovery = false"]),
        ('[mqtt]\nhost = "x"\ntopic = "home/+"', ["mqtt", "topic", "'+'"]),
        ('[mqtt]\nhost = "x"\ntopic = "a\\u0007b"', ["mqtt", "topic", "nothing is published"]),
        ('[mqtt]\nhost = "x"\ndiscovery = "home#"', ["mqtt", "discovery", "'#'"]),
        ('[mqtt]\nhost = "x"\nca = "/nowhere/ca.pem"', ["mqtt.ca", "/nowhere/ca.pem"]),
        ('[exec]\ncommand = ["/nowhere/program"]', ["exec.command", "/nowhere/program"]),
        ('[exec]\ncommand = ["/etc/passwd"]', ["exec.command", "chmod +x /etc/passwd"]),
    ],
)
def test_what_can_never_work_is_an_error(check: Check, text: str, words: list[str]) -> None:
    done = check(text)
    assert done.status == 2
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize(
    ("table", "module"), [('[mqtt]\nhost = "x"', "paho"), ("[gpio]\npin = 17", "gpiozero")]
)
def test_an_extra_that_is_not_installed_is_an_error(
    check: Check, table: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str, *more: Any) -> Any:
        return None if name == module else importlib.util.find_spec(name, *more)

    monkeypatch.setattr(settings_check, "find_spec", find)
    done = check(table)
    assert done.status == 2
    assert f"needs the package {module}" in done.stderr
    assert "pip install 'edgeface[" in done.stderr


def test_a_pin_that_another_holds_is_an_error(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_check, "find_spec", lambda *_: object())
    monkeypatch.setattr(settings_check, "holder", {17: "onewire@0", 18: None}.get)
    done = check("[gpio]\npin = 17")
    assert (done.status, "GPIO 17 is held by onewire@0" in done.stderr) == (2, True)
    assert check("[gpio]\npin = 18").status == 0
    note = tmp_path / "gpio.json"
    note.write_text('{"pin":17,"active_high":true}')
    monkeypatch.setattr(settings_check, "_GPIO_NOTE", note)
    assert check("[gpio]\npin = 17").status == 0  # the service itself holds it


@pytest.mark.parametrize("spec", ["/dev/video93", "93", "/nowhere/video.mp4"])
def test_a_source_that_is_not_there_is_a_note(check: Check, spec: str) -> None:
    done = check(f'[source]\nspec = "{spec}"', "--json")
    assert done.status == 0
    (warning,) = done.json["warnings"]
    assert "now" in warning
    done = check(f'[source]\nspec = "{spec}"')
    assert (done.status, "note: there is no" in done.stderr) == (0, True)


def test_two_doors_with_the_same_settings_are_two_on_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "edgeface.toml"
    file.write_text('[mqtt]\nhost = "x"\n')
    found = []
    for host in ("door", "back-door.local", "hof tür"):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        mqtt = load_config(file).mqtt
        assert mqtt is not None
        found.append((mqtt.client, mqtt.topic, mqtt.node))
    assert found == [
        ("edgeface-door", "edgeface/door", "edgeface-door"),
        ("edgeface-back-door", "edgeface/back-door", "edgeface-back-door"),
        ("edgeface-hof-t-r", "edgeface/hof-t-r", "edgeface-hof-t-r"),
    ]
    file.write_text('[mqtt]\nhost = "x"\nclient = "front"\ntopic = "home/door"\n')
    mqtt = load_config(file).mqtt
    assert mqtt is not None
    assert (mqtt.client, mqtt.topic, mqtt.discovery) == ("front", "home/door", "homeassistant")


@pytest.mark.parametrize("off", ["false", '""'])
def test_discovery_can_be_switched_off(tmp_path: Path, off: str) -> None:
    file = tmp_path / "edgeface.toml"
    file.write_text(f'[mqtt]\nhost = "x"\ndiscovery = {off}\nclient = "front door"\n')
    mqtt = load_config(file).mqtt
    assert mqtt is not None
    assert mqtt.discovery is None
