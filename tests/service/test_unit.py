"""The systemd unit: accepted, strict, and written for the environment that it is installed from."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeface.errors import ConfigError
from edgeface.service.install import install, start_service, uninstall

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(
    ANALYZE is None, reason="no systemd-analyze; install it with: apt install systemd"
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    install(tmp_path)
    return tmp_path


def unit(root: Path) -> Path:
    return root / "etc/systemd/system/edgeface.service"


def test_it_runs_the_program_of_this_environment(installed: Path) -> None:
    start = re.search(r"ExecStart=(\S+)(.*)", unit(installed).read_text())
    assert start is not None
    assert start[1].startswith(sys.prefix)
    assert start[2].endswith("run --config /etc/edgeface/edgeface.toml")
    assert "@" not in re.sub(r"@(system-service|privileged|resources)", "", start[0])


@needs_systemd
def test_systemd_finds_nothing_wrong(installed: Path) -> None:
    assert ANALYZE is not None
    for name in ("edgeface", "edgeface-gate", "edgeface-console"):
        path = unit(installed).with_name(f"{name}.service")
        done = subprocess.run(
            [ANALYZE, "verify", path], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize(
    ("name", "network", "most"),
    [
        ("edgeface", False, 0.5),
        ("edgeface", True, 1.3),
        ("edgeface-gate", False, 0.5),
        ("edgeface-console", False, 1.5),
    ],
)
def test_little_is_exposed(installed: Path, name: str, network: bool, most: float) -> None:
    assert ANALYZE is not None
    path = unit(installed).with_name(f"{name}.service")
    if network:  # a drop-in's text, as systemd reads it after the unit's own
        path.write_text(path.read_text() + (PACKAGING / "network.conf").read_text())
    done = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--no-pager", path],
        capture_output=True,
        text=True,
        check=False,
    )
    score = re.search(rf"exposure level for {name}.service: ([\d.]+)", done.stdout)
    assert score is not None, done.stderr
    assert float(score[1]) <= most


def test_the_service_cannot_take_the_memory_of_a_small_board(installed: Path) -> None:
    limit = re.search(r"^MemoryMax=(\d+)M$", unit(installed).read_text(), re.MULTILINE)
    assert limit is not None
    assert 300 <= int(limit[1]) <= 400  # of 512 MB, of which the GPU has 64


def test_the_network_is_there_only_when_something_needs_it(installed: Path) -> None:
    drop_in = installed / "etc/systemd/system/edgeface.service.d/network.conf"
    settings = installed / "etc/edgeface/edgeface.toml"
    assert not drop_in.exists()
    for text in ('[mqtt]\nhost = "x"', '[webhook]\nurl = "http://x"', '[source]\nspec="rtsp://x"'):
        settings.write_text(text)
        install(installed)
        assert "PrivateNetwork=no" in drop_in.read_text()
        settings.write_text("")
        install(installed)
        assert not drop_in.exists()


def test_gpio_is_seen_and_switched_off_only_where_it_is_used(installed: Path) -> None:
    drop_in = installed / "etc/systemd/system/edgeface.service.d/gpio.conf"
    assert not drop_in.exists()
    (installed / "etc/edgeface/edgeface.toml").write_text("[gpio]\npin = 17\n")
    install(installed)
    assert re.search(rf"ExecStopPost=-{sys.prefix}\S+ service outputs-off", drop_in.read_text())


def test_a_gallery_key_is_handed_over_where_there_is_one(installed: Path) -> None:
    drop_in = installed / "etc/systemd/system/edgeface.service.d/key.conf"
    assert not drop_in.exists()
    (installed / "etc/edgeface/credentials/gallery-key").write_text("00" * 32)
    install(installed)
    assert "LoadCredential=edgeface-gallery-key:" in drop_in.read_text()


def test_a_package_brings_the_unit_and_only_drop_ins_are_written(tmp_path: Path) -> None:
    packaged = tmp_path / "usr/lib/systemd/system/edgeface.service"
    packaged.parent.mkdir(parents=True)
    packaged.write_text(f"[Service]\nExecStart={sys.prefix}/bin/edgeface run\n")
    (tmp_path / "etc/edgeface").mkdir(parents=True)
    (tmp_path / "etc/edgeface/edgeface.toml").write_text('[mqtt]\nhost = "x"\n')
    install(tmp_path)
    assert not unit(tmp_path).exists()
    assert (tmp_path / "etc/systemd/system/edgeface.service.d/network.conf").exists()
    packaged.write_text("[Service]\nExecStart=/another/edgeface run\n")
    install(tmp_path)
    assert unit(tmp_path).exists()


def test_settings_survive_another_installation_and_the_removal(installed: Path) -> None:
    settings = installed / "etc/edgeface/edgeface.toml"
    settings.write_text('[source]\nspec = "0"\n')
    install(installed)
    assert settings.read_text() == '[source]\nspec = "0"\n'
    uninstall(installed)
    assert not unit(installed).exists()
    assert settings.exists()


def test_the_command_says_what_it_wrote_and_removed(edgeface, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = edgeface("service", "install", "--root", tmp_path)
    assert done.status == 0
    assert f"wrote {unit(tmp_path)}" in done.stdout
    done = edgeface("service", "uninstall", "--root", tmp_path)
    assert f"removed {unit(tmp_path)}" in done.stdout


def test_the_console_sees_of_the_services_files_the_history_alone(installed: Path) -> None:
    text = unit(installed).with_name("edgeface-console.service").read_text()
    lines = text.splitlines()
    assert "TemporaryFileSystem=/var/lib/edgeface:ro" in lines
    bound = [line for line in lines if re.match(r"(Bind|ReadWrite)", line)]
    assert bound == ["BindReadOnlyPaths=-/var/lib/edgeface/history"]
    assert "InaccessiblePaths=-/etc/edgeface/credentials" in lines
    assert "PrivateDevices=yes" in lines
    assert "IPAddressAllow=localhost" in lines  # until a drop-in opens it
    assert "WantedBy=multi-user.target" in lines
    assert "edgeface-console" not in unit(installed).read_text()  # nothing starts it unasked


@pytest.mark.parametrize("folder", ["my edge face", "100%face"])
def test_an_environment_of_any_name_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    environment = tmp_path / folder
    program = environment / "bin" / "edgeface"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "prefix", str(environment))
    root = tmp_path / "root"
    (root / "etc/edgeface").mkdir(parents=True)
    (root / "etc/edgeface/edgeface.toml").write_text("[gpio]\npin = 17\n")
    install(root)
    start = re.search(r"^ExecStart=(.*) run --config", unit(root).read_text(), re.M)
    assert start is not None
    (word,) = shlex.split(start[1])
    assert word.replace("%%", "%") == str(program)
    drop_in = root / "etc/systemd/system/edgeface.service.d/gpio.conf"
    stop = re.search(r"^ExecStopPost=(.*) service outputs-off", drop_in.read_text(), re.M)
    assert stop is not None
    assert shlex.split(stop[1]) == [f"-{word}"]
    if ANALYZE is not None:
        unit(root).write_text(unit(root).read_text() + drop_in.read_text())
        done = subprocess.run(
            [ANALYZE, "verify", unit(root)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def systemd(folder: Path, restart: str, show: str = "", journal: str = "") -> Path:
    """Stand-ins for systemctl and journalctl."""
    (folder / "journal").write_text(journal)
    scripts = {
        "systemctl": f'case "$1" in restart) {restart};; show) echo "{show}";; esac',
        "journalctl": f"cat {folder}/journal",
    }
    for name, body in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


def test_an_installation_says_why_the_service_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = (
        "Starting edgeface.service - EdgeFace...\n"
        "edgeface: there is no source door.mp4: use picamera2\n"
        "edgeface.service: Main process exited, code=exited, status=2/INVALIDARGUMENT\n"
        "Failed to start edgeface.service - EdgeFace.\n"
    )
    failed = "echo 'Job for edgeface.service failed.' >&2; exit 1"
    monkeypatch.setenv("PATH", str(systemd(tmp_path, failed, journal=journal)), prepend=":")
    with pytest.raises(ConfigError, match=r"does not start: there is no source door\.mp4"):
        start_service()


def test_an_installation_says_what_the_service_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = "watching rtsp://camera/, no picture yet (it does not open), 0 people"
    monkeypatch.setenv("PATH", str(systemd(tmp_path, "exit 0", waiting)), prepend=":")
    assert start_service() == waiting
    monkeypatch.setenv("PATH", str(systemd(tmp_path, "exit 0", "watching 0, 5 fps")), prepend=":")
    assert start_service() is None


@pytest.mark.parametrize("name", ["edgeface", "edgeface-console"])
def test_every_hardening_line_says_what_it_protects(name: str) -> None:
    explained = False
    for line in (PACKAGING / f"{name}.service").read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line:
            explained = False
        elif re.match(
            r"(Protect|Private|Restrict|Lock|NoNew|System|Device|Capab|Memory|IPA)", line
        ):
            assert explained, line
