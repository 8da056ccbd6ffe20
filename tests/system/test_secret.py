"""Secrets are dots wherever they are printed, and text for what opens them."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeface.errors import ConfigError
from edgeface.system.program import print_json
from edgeface.system.secret import Secret, dots

TEXT = "h0rse-b4ttery"


def raised(secret: Secret) -> str:
    try:
        raise ValueError(secret)
    except ValueError as error:
        return "".join(traceback.format_exception(error)) + repr(error)


WAYS: dict[str, Callable[[Secret], object]] = {
    "str": str,
    "repr": repr,
    "format": lambda secret: format(secret, ">20"),
    "f-string": lambda secret: f"{secret} {secret!r} {secret!s} {secret:>30}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 (this way, too)
    "container": lambda secret: str([secret, {"a": secret}, (secret,)]),
    "json": lambda secret: json.dumps({"a": secret}, default=dots),
    "msgspec": lambda secret: msgspec.json.encode([secret], enc_hook=dots).decode(),
    "copy": lambda secret: str([copy.copy(secret), copy.deepcopy(secret)]),
    "exception": raised,
    "ascii": ascii,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_dots_however_it_is_printed(way: str) -> None:
    shown = str(WAYS[way](Secret(TEXT)))
    assert TEXT not in shown
    assert "..." in shown


def test_a_secret_is_dots_in_a_log_and_in_what_a_command_prints(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = Secret(TEXT)
    logging.getLogger("edgeface").error("failed: %s %r", secret, {"key": secret})
    print_json({"password": secret})
    assert TEXT not in caplog.text + str(caplog.records[0].__dict__)
    assert capsys.readouterr().out == '{"password":"..."}\n'


@pytest.mark.parametrize("encode", [json.dumps, msgspec.json.encode, pickle.dumps])
def test_what_does_not_know_secrets_refuses_them(encode: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError) as caught:
        encode({"password": Secret(TEXT)})
    assert TEXT not in str(caught.value)
    assert not hasattr(Secret(TEXT), "__dict__")


def test_secrets_are_compared_by_what_they_open_to() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret("another")
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT)}) == 1


def test_a_credential_is_read_from_the_folder_that_systemd_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "edgeface_camera").write_text(f"{TEXT}\n")
    secret = Secret.of_setting("credential:camera")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="under systemd alone"):
        secret.open()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert secret.open() == TEXT
    assert not secret.written_out
    assert Secret.of_setting(TEXT).open() == TEXT
    for wrong in ("credential:../camera", "credential:", 5):
        with pytest.raises(ValueError, match="credential:NAME"):
            Secret.of_setting(wrong)


def test_a_password_where_its_file_should_be_named_is_not_printed() -> None:
    with pytest.raises(ConfigError) as caught:
        Secret.named(TEXT).open()
    assert TEXT not in str(caught.value)
