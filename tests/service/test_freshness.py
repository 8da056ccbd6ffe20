"""What acts upon events gets those of fresh frames alone, whatever reached the loop late."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from edgeface.service.config import Config, load_config
from edgeface.service.loop import Service
from edgeface.service.notify import Notifier
from edgeface.sources import Frame
from edgeface.sources.feed import FileFeed
from edgeface.verifier import FaceVerifier
from tests.helpers.service import PORTRAITS
from tests.helpers.sinks import wait_until


def config_of(tmp_path: Path) -> Config:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ncat >> {tmp_path}/acted\n")
    program.chmod(0o755)
    file = tmp_path / "s.toml"
    file.write_text(
        f'[source]\nspec = "{PORTRAITS / "obama2.jpg"}"\n'
        f'[recognition]\ngallery = "{tmp_path / "gallery.safetensors"}"\n'
        f'[exec]\ncommand = ["{program}"]\nfreshness = "30s"\n'  # a busy machine takes seconds
    )
    return load_config(file)


@pytest.mark.parametrize(("age", "acts"), [(0.0, True), (60.0, False)])
def test_a_program_hears_of_a_fresh_frame_and_the_journal_of_every(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    age: float,
    acts: bool,
) -> None:
    class Held(FileFeed):
        """Hands on frames that have waited somewhere."""

        def next(self, limit: float) -> Frame | None:
            frame = super().next(limit)
            assert frame is not None
            return dataclasses.replace(frame, taken=frame.taken - age)

    monkeypatch.setattr("edgeface.service.loop.open_feed", Held)
    FaceVerifier(tmp_path / "gallery.safetensors").enroll("barack", [PORTRAITS / "obama.jpg"])
    with Service(config_of(tmp_path), Notifier()) as service:
        service.run()
        sinks = {sink["name"]: sink for sink in service.status()["sinks"]}
        assert set(sinks) == {"stdout", "exec"}
        outlets = {outlet.name: outlet for outlet in service._outlets.outlets}
        wait_until(lambda: outlets["exec"].delivered + outlets["exec"].lost == 1)
    journal = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [event["name"] for event in journal] == ["barack"]
    acted = tmp_path / "acted"
    assert acted.exists() == acts
    assert outlets["exec"].lost == (not acts)
