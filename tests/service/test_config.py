"""The settings are strict: what is wrong is named, with the nearest right thing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeface.errors import ConfigError
from edgeface.service.config import Config, load_config

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "edgeface.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[recognition]\ncooldwn = "10 s"', ["recognition.cooldwn", "recognition.cooldown"]),
        ('cooldown = "10 s"', ["cooldown", "recognition.cooldown"]),
        ("[recogniton]\nagree = 3", ["recogniton", "recognition"]),
        ('[recognition]\ncooldown = "10 sec"', ["recognition.cooldown", '"10 s"']),
        ("[recognition]\ncooldown = 10", ["recognition.cooldown", "unit", '"10 s"']),
        ('[snapshots]\nsize = "200 MiB"', ["snapshots.size", "MB"]),
        ("[recognition]\nagree = 9", ["recognition", "agree"]),
        ("[recognition]\nfpir = 2", ["recognition", "fpir"]),
        ("[source]\nrotation = 45", ["source.rotation", "45"]),
        ('[source]\nwidth = "wide"', ["source.width", "int"]),
        ("[mqtt]\nport = 1883", ["mqtt", "host"]),
        ('[exec]\ncommand = ["reboot"]', ["exec", "full path"]),
        ('[exec]\ncommand = "/bin/true; reboot"', ["exec.command"]),
        ('[webhook]\nurl = "ftp://x"', ["webhook", "http"]),
        ('[gpio]\npin = 17\nevents = ["recognised"]', ["gpio.events", "recognised"]),
        ("source = 5", ["source", "[source]"]),
        ('[liveness]\nprofile = "high"', ["liveness", "high_security", '"high"']),
        ('[liveness]\nprofle = "standard"', ["liveness.profle", "liveness.profile"]),
        ("[source]\nfps = 2.0", ["source.fps", "5", "convenience"]),
        ("[source", ["not TOML"]),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("table", "setting"),
    [
        *(("source", f"fps = {fps}") for fps in ("0", "-5", "nan", "inf")),
        ("source", "width = -3"),
        ("source", "height = 0"),
        ("power", "idle_fps = nan"),
        ("power", "hot = inf"),
        ("recognition", "least_quality = 7"),
        ("recognition", "least_quality = nan"),
        ("recognition", "fpir = nan"),
        ("recognition", f'cooldown = "{"9" * 400} d"'),
        ("lockout", "attempts = 0"),
        ("lockout", "attempts = -1"),
        ("lockout", 'duration = "0 s"'),
        ("gpio", "pin = -4"),
        ("gpio", 'pulse = "0 s"\npin = 4'),
        ("mqtt", 'port = 99999999\nhost = "x"'),
        ("mqtt", 'port = 0\nhost = "x"'),
        ("webhook", 'timeout = "0 s"\nurl = "http://x"'),
        ("webhook", 'url = "http://x:99999999/"'),
        ("webhook", 'url = "http:///door"'),
        ("exec", 'timeout = "0 ms"\ncommand = ["/bin/true"]'),
        ("snapshots", f'size = "{"9" * 400} GB"'),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_key(
    tmp_path: Path, table: str, setting: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, f"[{table}]\n{setting}\n"))
    said = str(caught.value).partition("edgeface.toml: ")[2]
    assert said.startswith(table)
    assert setting.partition(" ")[0] in said
    assert "\n" not in said


def test_the_shipped_settings_hold_the_defaults() -> None:
    shipped = load_config(PACKAGING / "edgeface.toml")
    assert shipped.control is not None
    assert shipped.source == Config().source
    assert shipped.recognition == Config().recognition
    assert not any((shipped.mqtt, shipped.gpio, shipped.exec, shipped.webhook))


def test_what_the_shipped_settings_show_as_default_is_the_default(tmp_path: Path) -> None:
    text = (PACKAGING / "edgeface.toml").read_text()
    text = re.sub(r"(?m)^# (\w+ = )", r"\1", text)
    text = re.sub(r"(?m)^# \[", "[", text)
    shown = load_config(write(tmp_path, text))
    assert shown.power == Config().power
    assert shown.lockout == Config().lockout
    assert shown.stdout == Config().stdout
    examples = {"gallery", "model"}
    for field in shown.recognition.__struct_fields__:
        if field not in examples:
            assert getattr(shown.recognition, field) == getattr(Config().recognition, field)
    for name in ("mqtt", "webhook", "exec", "gpio", "snapshots"):
        assert getattr(shown, name) is not None


def test_config_check_says_yes_or_what_is_wrong(edgeface, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    good = edgeface("config", "check", PACKAGING / "edgeface.toml")
    assert good.status == 0
    bad = edgeface("config", "check", write(tmp_path, "[sourc]"))
    assert bad.status == 2
    assert "nearest is source" in bad.stderr
    missing = edgeface("config", "check", tmp_path / "none.toml", "--json")
    assert missing.status == 2
    assert "there is no settings file" in missing.json["error"]
