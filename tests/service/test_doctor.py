"""Doctor: looks where the service looks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeface.cli import main
from edgeface.verifier import FaceVerifier
from tests.conftest import PORTRAITS


def test_with_the_services_settings_it_looks_at_the_services_gallery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, state = tmp_path / "edgeface.toml", tmp_path / "state"
    settings.write_text(f'[source]\nspec = "{PORTRAITS / "obama.jpg"}"\n')
    settings.chmod(0o640)
    monkeypatch.delenv("EDGEFACE_GALLERY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("EDGEFACE_SOCKET", str(tmp_path / "nobody.sock"))
    monkeypatch.setattr("edgeface.cli.doctor.SYSTEM_CONFIG", settings)
    monkeypatch.setattr("edgeface.cli.doctor.SYSTEM_STATE", state)
    FaceVerifier(state / "gallery.safetensors").enroll("ada", [PORTRAITS / "obama.jpg"])
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert ended.value.code == 0, checks
    assert checks["gallery"]["detail"] == f"1 people in {state / 'gallery.safetensors'}"
    monkeypatch.setenv("EDGEFACE_GALLERY", str(tmp_path / "another"))
    with pytest.raises(SystemExit):
        main(["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["gallery"]["detail"] == f"0 people in {tmp_path / 'another'}"
