"""`edgeface run` as a process: who is told, when, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from edgeface import events
from edgeface.gallery import transfer
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.encryption import read_key
from edgeface.pipeline.geometry import Box, overlap
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.service import loop
from edgeface.service.config import load_config
from edgeface.service.loop import Service
from edgeface.service.notify import Notifier
from edgeface.verifier import FaceVerifier
from tests.helpers.service import LONG, PORTRAITS, Running, portrait_video
from tests.helpers.sinks import wait_until

SHARED = Path(os.environ.get("EDGEFACE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
WALKERS = SHARED / "data" / "walkers-1080p.mp4"
SCHEMA = json.loads((Path(events.__file__).parent / events.SCHEMA_FILE).read_text())


def run(gallery: Path, *arguments: str | Path, profile: str | None = None) -> list[dict[str, Any]]:
    """The events of a run that ends by itself, each checked against the schema."""
    if profile:
        arguments += ("--profile", profile)
    done = subprocess.run(
        [sys.executable, "-m", "edgeface", "run", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "EDGEFACE_GALLERY": str(gallery)},
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for event in found:
        jsonschema.validate(event, SCHEMA)
    return found


def enroll(gallery: Path, **people: str) -> Path:
    verifier = FaceVerifier(gallery)
    for name, picture in people.items():
        verifier.enroll(name, [PORTRAITS / f"{picture}.jpg"], force=True)
    return gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    return enroll(tmp_path / "gallery.safetensors", barack="obama")


def test_the_shipped_schema_is_the_code_s() -> None:
    assert events.schema() == SCHEMA


def test_a_known_and_an_unknown_person_are_each_told_once(tmp_path: Path, gallery: Path) -> None:
    video = portrait_video(tmp_path / "v.avi", "obama2", "biden")
    told = run(gallery, "--source", video)
    assert Counter((e["type"], e["name"]) for e in told) == {
        ("recognized", "barack"): 1,
        ("unknown", None): 1,
    }
    known = next(e for e in told if e["name"])
    assert known["score"] >= known["threshold"]
    assert known["box"][0] < 480


def test_an_empty_gallery_knows_nobody(tmp_path: Path) -> None:
    video = portrait_video(tmp_path / "v.avi", "obama2", "biden")
    told = run(tmp_path / "none.safetensors", "--source", video)
    assert [e["type"] for e in told] == ["unknown", "unknown"]
    assert len({e["track"] for e in told}) == 2


def test_the_cooldown_passes_and_the_person_is_told_again(tmp_path: Path, gallery: Path) -> None:
    video = portrait_video(tmp_path / "v.avi", "obama2", frames=100)  # five seconds
    settings = tmp_path / "s.toml"
    settings.write_text('[recognition]\ncooldown = "2 s"\nrecheck = "500 ms"\n')
    told = run(gallery, "--source", video, "--config", settings)
    assert [e["name"] for e in told] == ["barack"] * 3
    assert len({e["track"] for e in told}) == 1


def test_a_folder_of_pictures_is_judged_picture_by_picture(tmp_path: Path, gallery: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("obama2", "biden"):
        shutil.copy(PORTRAITS / f"{name}.jpg", folder)
    told = run(gallery, "--source", folder)
    assert [e["name"] for e in told] == [None, "barack"]


def test_frames_are_counted(tmp_path: Path, gallery: Path) -> None:
    video = portrait_video(tmp_path / "v.avi", "obama2")
    assert run(gallery, "--source", video, "--max-frames", "2") == []


def test_a_source_that_cannot_be_is_one_sentence(edgeface) -> None:  # type: ignore[no-untyped-def]
    done = edgeface("run", "--source", "/nowhere/video.mp4")
    assert (done.status, done.stdout) == (2, "")
    assert "there is no source /nowhere/video.mp4" in done.stderr


def follow(pipeline: FacePipeline, frames: list[np.ndarray], start: Box) -> list[np.ndarray]:
    """The embeddings of the face that is at `start` in the first frame."""
    embeddings = []
    for frame in frames:
        face = max(pipeline.detect(frame), key=lambda face: overlap(face.box, start))
        if overlap(face.box, start) > 0.3:
            start = face.box
            embeddings.append(pipeline.encode(frame, face).embedding)
    return embeddings


@pytest.mark.skipif(not WALKERS.exists(), reason="the walkers video is not at hand")
def test_walkers_are_told_once_under_a_stable_track_and_nobody_by_another_s_name(
    tmp_path: Path,
) -> None:
    capture = cv2.VideoCapture(str(WALKERS))
    frames = [capture.read()[1] for _ in range(10)][::3]
    pipeline = FacePipeline()
    starts = {"red": Box(660, 561, 80, 80), "blue": Box(917, 647, 73, 73)}
    with GalleryChange.open(tmp_path / "g.gallery", pipeline.model) as change:
        for name, start in starts.items():
            change.add(name, follow(pipeline, frames, start))
    told = run(tmp_path / "g.gallery", "--source", WALKERS)
    assert Counter(e["name"] for e in told if e["name"]) == {"red": 1, "blue": 1}
    assert len({e["track"] for e in told}) == len(told) >= 6
    # Both are where they were enrolled from, so nobody else bears their names.
    for event in told:
        if event["name"]:
            assert overlap(Box(*event["box"]), starts[event["name"]]) > 0.05
    strangers = run(tmp_path / "none.safetensors", "--source", WALKERS)
    assert len(strangers) >= 7
    assert all(e["type"] == "unknown" for e in strangers)


def live(tmp_path: Path, *names: str, extra: str = "") -> str:
    """Settings that watch a looped video at its own speed."""
    video = portrait_video(tmp_path / "live.avi", *names)
    return f'[source]\nspec = "{video}"\npace = "own"\nloop = true\n{extra}'


def test_it_ends_with_success_after_sigterm(tmp_path: Path, gallery: Path) -> None:
    with Running(tmp_path, live(tmp_path, "obama2")).ready() as service:
        service.until(lambda: service.of("recognized"))
        assert service.stop() == 0
        assert not service.socket.exists()


def test_a_new_enrollment_beside_it_takes_effect(tmp_path: Path) -> None:
    with Running(tmp_path, live(tmp_path, "obama2")).ready() as service:
        service.until(lambda: service.of("unknown"))
        enroll(service.gallery, barack="obama")
        service.until(lambda: service.of("recognized"))
        assert service.of("recognized")[0]["name"] == "barack"


def test_sighup_applies_good_settings_and_refuses_wrong_ones(tmp_path: Path, gallery: Path) -> None:
    settings = live(tmp_path, "obama2")
    with Running(tmp_path, settings).ready() as service:
        service.until(lambda: service.of("recognized"))
        service.write(settings.replace("[source]", "[sorce]"))
        service.process.send_signal(signal.SIGHUP)
        service.until(lambda: any("stay as they were" in line for line in service.errors))
        assert "nearest is source" in "".join(service.errors)
        other = portrait_video(tmp_path / "other.avi", "biden")
        service.write(f'[source]\nspec = "{other}"\npace = "own"\nloop = true\n')
        service.process.send_signal(signal.SIGHUP)
        service.until(lambda: service.of("unknown"))
        assert service.of("unknown")[0]["source"] == "other.avi"


def test_systemd_is_told_ready_alive_and_stopping(tmp_path: Path, gallery: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(LONG)
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
    with Running(tmp_path, live(tmp_path, "obama2"), **environment) as service:
        while (status := manager.recv(200)) != b"READY=1":
            before = status
        assert before.startswith(b"STATUS=watching ")
        assert b"fps" in before and b"no picture" not in before
        heard: list[bytes] = []
        while heard.count(b"WATCHDOG=1") < 5 or not any(
            text.startswith(b"STATUS=watching ") for text in heard
        ):
            heard.append(manager.recv(200))
        service.process.send_signal(signal.SIGTERM)
        while manager.recv(200) != b"STOPPING=1":
            pass
        assert service.stop() == 0


def test_systemd_is_told_ready_with_the_first_picture_and_not_before(
    tmp_path: Path, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LONG)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        settings = tmp_path / "edgeface.toml"
        settings.write_text('[source]\nspec = "/dev/video-of-nobody"\n')
        monkeypatch.setattr(loop, "_FIRST_PICTURE", 1e9)
        with Service(load_config(settings), Notifier()) as service:
            running = threading.Thread(target=service.run)
            running.start()
            wait_until(lambda: "no picture yet (there is no camera" in service.summary())
            # A camera may come late, but systemd must not wait for ever.
            monkeypatch.setattr(loop, "_FIRST_PICTURE", 0.0)
            heard = [manager.recv(200)]
            while heard[-1] != b"READY=1":
                heard.append(manager.recv(200))
            waiting = b"STATUS=watching /dev/video-of-nobody, no picture yet"
            assert all(text.startswith(waiting) for text in heard[:-1])
            assert b"no picture yet (there is no camera" in heard[-2]  # what READY's reader reads
            service.stop()
            running.join()


def test_a_stopped_loop_does_not_feed_the_watchdog(tmp_path: Path, gallery: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(LONG)
    pipe = tmp_path / "pipe.avi"
    os.mkfifo(pipe)  # opening it waits for ever: a loop that hangs in a driver
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
    with Running(tmp_path, live(tmp_path, "obama2"), **environment) as service:
        while manager.recv(200) != b"WATCHDOG=1":
            pass
        service.write(f'[source]\nspec = "{pipe}"\n')
        service.process.send_signal(signal.SIGHUP)
        while not manager.recv(200).startswith(b"RELOADING"):
            pass
        manager.settimeout(2)
        with pytest.raises(TimeoutError):
            manager.recv(200)
        service.process.kill()


def test_a_damaged_gallery_is_restored_with_an_event(tmp_path: Path, gallery: Path) -> None:
    enroll(gallery, joe="biden")  # so that there is an earlier generation, with barack alone
    damaged = bytearray(gallery.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    gallery.write_bytes(damaged)
    told = run(gallery, "--source", PORTRAITS / "obama2.jpg")
    assert told[0]["type"] == "gallery_restored"
    assert "edgeface list" in told[0]["message"]
    assert {event["name"] for event in told} <= {None, "barack"}


OFTEN = '[recognition]\ncooldown = "200 ms"\nrecheck = "100 ms"\n'  # recognized again and again


def nobody_is_recognized(service: Running) -> str:
    """Check it for many frames after the event that says so; returns what the service says."""
    service.until(lambda: service.of("gallery_unusable"))
    (status,) = service.ask(command="status")
    seen, frames = len(service.of("recognized")), status["frames"]
    service.until(lambda: service.ask(command="status")[0]["frames"] > frames + 40)
    assert len(service.of("recognized")) == seen
    (status,) = service.ask(command="status")
    *before, event = service.of("gallery_unusable")
    # Each reason once, however often it was tried: a file may be gone before a folder is there.
    assert event["message"] not in [earlier["message"] for earlier in before]
    assert len(before) <= 1
    jsonschema.validate(event, SCHEMA)
    assert status["gallery_problem"] == event["message"]
    assert status["people"] == 0
    assert all(face["name"] is None for face in status["in_view"])
    assert "nobody is recognized" in service.command("status").stdout
    checks = json.loads(service.command("doctor", "--json").stdout)["checks"]
    (check,) = (check for check in checks if check["name"] == "service")
    assert not check["ok"]
    assert "it recognizes nobody" in check["detail"]
    return str(event["message"])


def test_who_is_removed_after_a_new_key_is_recognized_no_more(
    tmp_path: Path, gallery: Path
) -> None:
    """Before: barack was recognized for ever, with a line in the log every two seconds."""
    old, new = tmp_path / "old", tmp_path / "new"
    for file, text in ((old, "ab" * 32), (new, "cd" * 32)):
        file.touch(0o600)
        file.write_text(text)
    environment = {"EDGEFACE_GALLERY_KEY_FILE": str(old)}
    transfer.change_key(gallery, None, read_key(old))
    with Running(tmp_path, live(tmp_path, "obama2", extra=OFTEN), **environment).ready() as service:
        service.until(lambda: len(service.of("recognized")) > 1)
        assert service.command("gallery", "rekey", "--new-key-file", str(new)).returncode == 0
        assert service.command("remove", "barack", "--key-file", str(new)).returncode == 0
        assert "the key does not open" in nobody_is_recognized(service)
        assert service.stop() == 0


def test_an_older_copy_that_comes_back_recognizes_nobody_until_it_is_restored(
    tmp_path: Path, gallery: Path
) -> None:
    settings = live(tmp_path, "obama2", extra=OFTEN)
    with Running(tmp_path, settings).ready() as service:
        service.until(lambda: service.of("recognized"))
        older = gallery.read_bytes()
        assert service.command("remove", "barack").returncode == 0
        service.until(lambda: service.ask(command="status")[0]["people"] == 0)
        replacement = tmp_path / "backup"
        replacement.write_bytes(older)
        os.replace(replacement, gallery)  # as a careless restore does
        assert "went back from change 2 to 1" in nobody_is_recognized(service)
        assert service.command("gallery", "restore", str(gallery)).returncode == 0
        seen = len(service.of("recognized"))
        service.until(lambda: len(service.of("recognized")) > seen)
        assert service.ask(command="status")[0]["gallery_problem"] is None


def test_a_service_that_starts_on_an_older_copy_runs_and_recognizes_nobody(
    tmp_path: Path, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEFACE_GALLERY", str(gallery))
    settings = tmp_path / "edgeface.toml"
    settings.write_text(f'[source]\nspec = "{PORTRAITS / "obama2.jpg"}"\n[control]\n')
    older = gallery.read_bytes()
    FaceVerifier(gallery).remove("barack")
    with Service(load_config(settings), Notifier()):
        pass
    gallery.write_bytes(older)
    with Service(load_config(settings), Notifier()) as service:
        service.run()
        assert service.frames == 1
        assert "went back from change 2 to 1" in service.status()["gallery_problem"]
        assert service.status()["people"] == 0


@pytest.mark.parametrize("trouble", ["damaged", "gone", "a pipe", "a folder"])
def test_a_gallery_that_cannot_be_read_again_recognizes_nobody(
    trouble: str, tmp_path: Path, gallery: Path
) -> None:
    with Running(tmp_path, live(tmp_path, "obama2", extra=OFTEN)).ready() as service:
        service.until(lambda: service.of("recognized"))
        whole = gallery.read_bytes()
        if trouble == "damaged":
            gallery.write_bytes(whole[:-5])
        else:
            gallery.unlink()
        if trouble == "a pipe":
            os.mkfifo(gallery)
        if trouble == "a folder":
            gallery.mkdir()
        nobody_is_recognized(service)
        assert service.stop() == 0


def test_what_the_service_reported_is_in_its_history_after_a_kill(tmp_path: Path) -> None:
    video = portrait_video(tmp_path / "video.avi", "obama")
    enroll(tmp_path / "gallery.safetensors", ada="obama")
    settings = (
        f'[source]\nspec = "{video}"\nloop = true\n[history]\n[recognition]\ncooldown = "1 s"\n'
    )
    with Running(tmp_path, settings).ready() as service:
        service.until(lambda: service.of("recognized"))
        shown = service.ask(command="status")[0]["sinks"]
        service.process.kill()
        service.process.wait()
        done = service.command("history", "--json", "--person", "ada")
    assert [sink["name"] for sink in shown] == ["stdout", "history"]
    assert shown[1]["delivered"] >= 1
    kept = {event["id"] for event in json.loads(done.stdout)["events"]}
    assert {event["id"] for event in service.of("recognized")} <= kept
