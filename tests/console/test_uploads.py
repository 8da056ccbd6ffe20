"""Pictures sent to the console: enrolled, identified and verified by the service, or refused."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
import zlib
from typing import Any

import pytest

from edgeface.console.errors import Busy
from edgeface.console.sessions import SCOPES, Tokens
from edgeface.console.uploads import UPLOADS, Slot
from edgeface.service.audit import read_audit
from edgeface.system.upload import LARGEST_PICTURE, MOST_PICTURES, MOST_TOGETHER
from tests.console.conftest import MARKUP
from tests.helpers.console import Browser, options
from tests.helpers.service import LONG, PORTRAITS, Running

HOSTILE = "<img src=x onerror=alert(1)>.jpg"
GOOD = (PORTRAITS / "obama2.jpg").read_bytes()


def bomb() -> bytes:
    """A PNG file of a few hundred bytes that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


@pytest.fixture
def browser(service: Running) -> Browser:
    return Browser(options(service.socket.parent)).log_in()


def send(browser: Browser, files: list[tuple[str, bytes]], **fields: str) -> Any:
    """The form of the page, with one field for the camera left empty."""
    given = [("picture", (name, data)) for name, data in files]
    empty = ("picture", ("", b"", "application/octet-stream"))
    data = {"csrf": browser.csrf, "name": "dora", **fields}
    return browser.client.post("/people/pictures", data=data, files=[*given, empty])


def ended(browser: Browser, page: str) -> dict[str, Any]:
    """How an enrollment has ended."""
    number = page.rpartition("/")[2]
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        one = browser.get(f"/api/v1/enrollments/{number}").json()
        if one["state"] != "running":
            return dict(one)
        time.sleep(0.02)
    raise AssertionError("the enrollment has no end")


def people(service: Running) -> dict[str, int]:
    return {p["name"]: p["templates"] for p in service.ask(command="list")[0]["people"]}


def last_record(service: Running, command: str) -> Any:
    records, problems = read_audit(service.gallery.with_name("audit.jsonl"))
    assert problems == []
    return [record for record in records if record.command == command][-1]


def test_somebody_is_enrolled_from_pictures_and_each_refused_one_has_its_reason(
    service: Running, browser: Browser
) -> None:
    before = people(service)
    with browser.client:
        page = browser.get("/people").text
        assert re.search(r'type="file" accept="image/\*" multiple', page)
        assert re.search(r'type="file" accept="image/\*" capture', page)
        sent = [
            ("good.jpg", (PORTRAITS / "collins.jpg").read_bytes()),
            (HOSTILE, b"not a picture at all"),
            ("half.jpg", GOOD[: len(GOOD) // 2]),
            ("bomb.png", bomb()),
        ]
        started = send(browser, sent)
        assert started.status_code == 303, started.text
        done = ended(browser, started.headers["location"])
        assert (done["state"], done["added"]) == ("done", 1), done
        reasons = {one["image"]: one["reason"] for one in done["rejected"]}
        assert list(reasons) == [HOSTILE, "half.jpg", "bomb.png"]
        assert "not a picture" in reasons[HOSTILE]
        assert "cut short" in reasons["half.jpg"]
        assert "megapixels" in reasons["bomb.png"]
        shown = browser.get(started.headers["location"]).text
        assert "&lt;img src=x" in shown
        assert "<img" not in shown
        assert people(service) == {**before, "dora": 1}
        record = last_record(service, "enroll")
        assert (record.name, record.outcome) == ("dora", "done")
        assert re.fullmatch(r"via console, session \w+ from \S+: 1 templates added", record.detail)
        service.until(lambda: [e for e in service.of("person_enrolled") if e["name"] == "dora"])
        browser.send("/people/remove", name="dora")
    assert people(service) == before


def test_where_every_picture_is_refused_nobody_is_enrolled_and_the_reasons_are_shown(
    service: Running, browser: Browser
) -> None:
    before = people(service)
    with browser.client:
        started = send(browser, [("a.txt", b"x"), ("two.jpg", b"\xff\xd8\xff\xe0")])
        failed = ended(browser, started.headers["location"])
        assert failed["state"] == "failed"
        assert [one["image"] for one in failed["rejected"]] == ["a.txt", "two.jpg"]
        wrong = send(browser, [("a.jpg", GOOD)], name="a\nb")
        assert ended(browser, wrong.headers["location"])["state"] == "failed"
    assert people(service) == before


def test_what_is_too_much_is_refused_before_the_service_gets_any(
    service: Running, browser: Browser
) -> None:
    before = people(service)
    enrolled = len(read_audit(service.gallery.with_name("audit.jsonl"))[0])
    assert send(browser, []).status_code == 400
    assert send(browser, [("a.jpg", b"")]).status_code == 400
    assert send(browser, [("a.jpg", GOOD)], name=" ").status_code == 400
    assert send(browser, [("a.jpg", b"x")] * (MOST_PICTURES + 3)).status_code == 400
    large = send(browser, [("a.jpg", b"x" * (LARGEST_PICTURE + 1))])
    assert (large.status_code, "12 MB" in large.text) == (413, True)
    whole = send(browser, [(f"{n}.jpg", b"x" * LARGEST_PICTURE) for n in range(3)])
    assert (whole.status_code, "24 MB" in whole.text) == (413, True)
    chunks = iter([b"--x\r\n", *[b"y" * 1_000_000] * (MOST_TOGETHER // 1_000_000 + 1)])
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    endless = browser.client.post("/people/pictures", content=chunks, headers=form)
    assert endless.status_code in (400, 413)
    plain = browser.client.post("/people/pictures", content=b"x", headers={})
    assert plain.status_code == 415
    assert len(read_audit(service.gallery.with_name("audit.jsonl"))[0]) == enrolled
    assert people(service) == before


def test_pictures_of_strangers_and_other_pages_are_not_taken(
    service: Running, browser: Browser
) -> None:
    stranger = Browser(options(service.socket.parent))
    assert send(stranger, [("a.jpg", GOOD[:50_000])]).headers["location"] == "/login"
    for path in sorted(UPLOADS):  # nobody known: as little is read as of any other request
        files = [("picture", ("a.jpg", b"x" * 70_000))]
        assert stranger.client.post(path, files=files).status_code == 413
        answer = browser.client.post(f"{path}?name=dora", files=files)
        assert answer.status_code == 403, path  # without the session's token
    assert send(browser, [("a.jpg", GOOD)], csrf="x").status_code == 403
    elsewhere = {"Origin": "https://elsewhere.example"}
    files = [("picture", ("a.jpg", GOOD))]
    answer = browser.client.post("/people/pictures", files=files, headers=elsewhere)
    assert answer.status_code == 403
    assert "dora" not in people(service)


def test_a_program_with_the_scope_identifies_and_verifies_a_picture(
    service: Running, browser: Browser
) -> None:
    chosen = options(service.socket.parent)
    tokens = Tokens(chosen.state)
    header = {"Authorization": f"Bearer {tokens.add('reader', ('recognize',))}"}
    others = tuple(scope for scope in SCOPES if scope != "recognize")
    without = {"Authorization": f"Bearer {tokens.add('other', others)}"}
    obama = [("picture", ("a.jpg", (PORTRAITS / "obama2.jpg").read_bytes()))]
    nobody = [("picture", ("a.jpg", (PORTRAITS / "collins.jpg").read_bytes()))]
    client = browser.client
    verify = {"params": {"name": MARKUP}, "headers": header}

    (face,) = client.post("/api/v1/identify", files=obama, headers=header).json()["faces"]
    assert (face["name"], face["score"] >= face["threshold"]) == (MARKUP, True)
    (face,) = client.post("/api/v1/identify", files=nobody, headers=header).json()["faces"]
    assert face["name"] is None
    assert client.post("/api/v1/verify", files=obama, **verify).json()["match"] is True
    assert client.post("/api/v1/verify", files=nobody, **verify).json()["match"] is False
    record = last_record(service, "verify")
    assert (record.name, record.outcome) == (MARKUP, "done")
    assert record.detail.startswith("via console, token reader from ")

    wrong = [("picture", ("a.jpg", b"no picture"))]
    refused = client.post("/api/v1/verify", files=wrong, **verify)
    assert (refused.status_code, "not a picture" in refused.json()["error"]) == (409, True)
    unknown = client.post("/api/v1/verify?name=zoe", files=obama, headers=header)
    assert (unknown.status_code, "zoe" in unknown.json()["error"]) == (409, True)
    two = client.post("/api/v1/identify", files=[*obama, *nobody], headers=header)
    assert two.status_code == 400
    for path in ("identify", "verify?name=x"):
        assert client.post(f"/api/v1/{path}", files=obama, headers=without).status_code == 403
    enrolling = client.post("/api/v1/enrollments/pictures?name=x", files=obama, headers=header)
    assert enrolling.status_code == 403


def test_one_upload_at_a_time_is_held_in_memory() -> None:
    slot = Slot()
    slot.take()
    with pytest.raises(Busy, match="other pictures are being sent"):
        slot.take()
    slot.free()
    slot.take()


def test_the_socket_takes_pictures_of_administrators_alone_and_of_one_at_a_time(
    service: Running,
) -> None:
    before = people(service)
    asked = {"command": "enroll", "name": "eve", "pictures": [len(GOOD)]}
    (refused,) = service.ask_on(service.socket, **asked)
    assert "for administrators" in refused["error"]
    many: tuple[dict[str, Any], ...] = (
        {"pictures": []},
        {"pictures": [0]},
        {"pictures": [LARGEST_PICTURE + 1]},
        {"pictures": [LARGEST_PICTURE] * 3},
        {"pictures": [10] * (MOST_PICTURES + 1)},
        {"command": "identify", "pictures": [10, 10]},
        {"command": "remove"},
        {"challenge": True},
        {"name": "a\nb"},
    )
    for wrong in many:
        (answer,) = service.ask(**{**asked, **wrong})
        assert len(answer["error"]) > 10, wrong
    with socket.socket(socket.AF_UNIX) as first:
        first.settimeout(LONG)
        first.connect(str(service.admin_socket))
        first.sendall(json.dumps(asked).encode() + b"\n")
        with first.makefile("rb") as lines:
            progress = json.loads(next(lines))["progress"]
            assert (progress["send"], progress["wanted"]) == (1, 1)
            (busy,) = service.ask(**asked)
            assert "somebody else is sending pictures" in busy["error"]
            first.sendall(GOOD[:1000])
    # It has hung up in the middle of a picture.
    service.until(lambda: last_record(service, "enroll").detail == "the connection was closed")
    assert people(service) == before
