"""The console before a service that runs: what its pages show, and what nobody gets by them."""

from __future__ import annotations

import base64
import csv
import html.parser
import io
import json
import time
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from edgeface.console.access import HEADERS, MOST_BYTES
from edgeface.console.invitation import Invitation
from edgeface.console.passwords import Throttle
from edgeface.console.sessions import SCOPES, Tokens
from edgeface.events import EVENT_TYPES
from edgeface.service.audit import read_audit
from edgeface.verifier import FaceVerifier
from tests.console.conftest import FORMULA, MARKUP
from tests.helpers.console import PASSWORD, Browser, Clock, options
from tests.helpers.service import LONG, PORTRAITS, Running

PAGES = ("/people", "/live", "/history", "/attendance", "/status", "/access")


@pytest.fixture
def browser(service: Running, tmp_path: Path) -> Browser:
    return Browser(options(service.socket.parent)).log_in()


class Elements(html.parser.HTMLParser):
    """The elements of a page as a browser would make them, and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def people(service: Running) -> set[str]:
    return {person["name"] for person in service.ask(command="list")[0]["people"]}


def test_every_page_is_whole_without_scripts(browser: Browser) -> None:
    for path in PAGES:
        answer = browser.get(path)
        assert answer.status_code == 200, answer.text
    shown = browser.get("/people").text
    assert "HYPERLINK" in shown
    assert "Nearest lookalike" in shown
    assert "Last recognized" in shown
    assert "Recognized" in browser.get("/history").text
    assert "The service reports nothing wrong" in browser.get("/status").text


def test_a_name_that_is_markup_stays_text_on_every_page(browser: Browser) -> None:
    removing = browser.client.get("/people/change", params={"name": MARKUP}).text
    filtered = browser.client.get("/history", params={"person": MARKUP}).text
    wrong = browser.client.get("/history", params={"kind": MARKUP}).text
    for page in [*(browser.get(path).text for path in PAGES), removing, filtered, wrong]:
        for tag, attributes in Elements(page).found:
            assert tag != "img" or str(attributes["alt"]).startswith("What the camera sees")
            assert not any(name.startswith("on") for name in attributes)
            assert tag != "script" or attributes["src"] == "/static/console.js"
            assert "style" not in attributes
    assert "&lt;script" in removing


def test_a_name_that_is_a_formula_is_text_in_both_tables(browser: Browser) -> None:
    for path in ("/history.csv", "/attendance.csv", "/api/v1/events.csv"):
        answer = browser.get(path)
        assert answer.headers["content-type"].startswith("text/csv")
        names = {row["name"] for row in csv.DictReader(io.StringIO(answer.text))}
        assert f"'{FORMULA}" in names
        assert FORMULA not in names


def test_every_answer_is_closed_and_kept_nowhere(browser: Browser) -> None:
    for path in (*PAGES, "/login", "/nothing", "/static/console.js", "/api/v1/status", "/metrics"):
        answer = browser.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, path
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_nothing_is_shown_to_whoever_is_not_logged_in(service: Running) -> None:
    stranger = Browser(options(service.socket.parent))
    for path in (*PAGES, "/live.mjpeg", "/history.csv", "/attendance.csv", "/people/change?name=x"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path
    for path in ("status", "people", "events", "events.csv", "events/stream", "attendance", "live"):
        assert stranger.get(f"/api/v1/{path}").status_code == 401
    for path in ("/metrics", "/api/v1/openapi.json", "/api/v1/enrollments/x"):
        assert stranger.get(path).status_code == 401
    before = people(service)
    assert stranger.send("/people/remove", name=FORMULA).status_code == 303
    assert stranger.client.delete("/api/v1/people", params={"name": FORMULA}).status_code == 401
    assert people(service) == before


def test_a_forged_or_replayed_request_changes_nothing(service: Running) -> None:
    browser = Browser(options(service.socket.parent)).log_in()
    before = people(service)
    for forged in (
        "",
        "x",
        browser.csrf[:-1],
        Browser(options(service.socket.parent)).log_in().csrf,
    ):
        answer = browser.post("/people/remove", csrf=forged, name=FORMULA)
        assert answer.status_code == 403
    headers = {"X-CSRF-Token": "x"}
    for answer in (
        browser.client.delete("/api/v1/people", params={"name": FORMULA}),
        browser.client.delete("/api/v1/people", params={"name": FORMULA}, headers=headers),
        browser.client.get("/people/remove", params={"name": FORMULA, "csrf": browser.csrf}),
        browser.post("/people/rename", csrf="x", name=FORMULA, to="dee"),
        browser.post("/people/merge", csrf="x", name=FORMULA, into=MARKUP),
        browser.client.post("/people/remove", json={"name": FORMULA, "csrf": browser.csrf}),
    ):
        assert answer.status_code in (403, 405, 415)
    cookie, token = dict(browser.client.cookies), browser.csrf
    assert browser.send("/logout").status_code == 303
    browser.client.cookies.update(cookie)  # what somebody recorded before
    replayed = browser.post("/people/remove", csrf=token, name=FORMULA)
    assert replayed.headers["location"] == "/login"
    assert people(service) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://localhost:8700"},
        {"Origin": "http://localhost:8701"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_origin_logs_nobody_in_and_changes_nothing(
    browser: Browser, service: Running, headers: dict[str, str]
) -> None:
    fields = {"csrf": browser.csrf, "name": FORMULA, "password": PASSWORD}
    for path in ("/people/remove", "/login", "/logout"):
        assert browser.client.post(path, data=fields, headers=headers).status_code == 403
    assert FORMULA in people(service)
    assert browser.get("/people").status_code == 200


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost:8700", True),
        ("127.0.0.1", True),
        ("[::1]:8700", True),
        ("DOOR.local", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("192.168.1.1", False),
        ("door.local@evil.example", False),
        ("localhost:8700:1", False),
        ("", False),
    ],
)
def test_only_its_own_names_are_answered(browser: Browser, host: str, ours: bool) -> None:
    answer = browser.get("/login", Host=host)
    assert answer.status_code == (200 if ours else 421)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/cli/run.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..\\app.py",
        "/static/%00",
        "/people/enroll/..%2f..%2faccess",
    ],
)
def test_no_path_leads_out_of_the_static_files(browser: Browser, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code in (404, 500)
    assert "import" not in answer.text
    assert "root:" not in answer.text


def test_what_is_too_large_is_refused_before_it_is_read(browser: Browser) -> None:
    large = b"x" * (MOST_BYTES + 1)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.client.post("/login", content=large, headers=form).status_code == 413
    assert browser.client.post("/login", content=iter([large]), headers=form).status_code == 413
    many = "&".join(f"a{number}=1" for number in range(1000))
    answer = browser.client.post("/people/enroll", content=many, headers=form)
    assert answer.status_code == 400
    deep = b"[" * 60_000
    headers = {"X-CSRF-Token": browser.csrf}
    assert (
        browser.client.post("/api/v1/enrollments", content=deep, headers=headers).status_code == 400
    )


@pytest.mark.parametrize(
    "query",
    [
        *("kind=x", "day=tomorrow", "day=2026-02-30", "until=2026-01-01", "limit=0", "limit=501"),
        *("before=-1", "before=9" * 30, "nonsense=1", "day=2026-01-02&until=2026-01-01"),
        "limit=²",
    ],
)
def test_a_filter_that_cannot_be_meant_is_a_sentence(browser: Browser, query: str) -> None:
    answer = browser.get(f"/api/v1/events?{query}")
    assert answer.status_code == 400
    assert len(answer.json()["error"]) > 10


def test_a_thousand_wrong_passwords_open_nothing_and_lock_nobody_out(service: Running) -> None:
    ticks = Clock()
    chosen = options(service.socket.parent)
    owner = Browser(chosen, ticks=ticks).log_in()
    looked_at = 0
    for number in range(1000):
        answer = owner.post("/login", password=f"wrong{number:05}")
        looked_at += answer.status_code == 403
        assert answer.status_code in (403, 429)
        ticks.now += 1
    assert 5 < looked_at <= 13  # five at once, then after 10, 20, 40 ... seconds
    assert owner.post("/login", password=PASSWORD).status_code == 429
    assert owner.get("/people").status_code == 200  # who is logged in stays so
    ticks.now += 901
    assert owner.post("/login", password=PASSWORD).status_code == 303
    assert service.process.poll() is None


def test_many_addresses_that_guess_together_are_slowed_and_the_owners_is_not() -> None:
    ticks = Clock()
    throttle = Throttle(ticks)
    throttle.failed("owner")
    throttle.passed("owner")
    free = 0
    for number in range(1000):
        if not throttle.wait(f"10.0.0.{number}"):
            free += 1
            throttle.failed(f"10.0.0.{number}")
        ticks.now += 1
    assert free < 50 + 1000 / 10 + 2
    assert throttle.wait("owner") == 0


def test_a_session_ends_by_time_by_hand_and_with_the_password(service: Running) -> None:
    clock = Clock()
    chosen = options(service.socket.parent)
    for end in ("idle", "long", "changed", "by another"):
        browser = Browser(chosen, clock=clock).log_in()
        if end == "idle":
            clock.now += 12 * 3600 + 1
        elif end == "long":
            for _ in range(15):
                clock.now += 12 * 3600 - 1
                browser.get("/access")
        elif end == "changed":
            browser.password.set("another password")
            assert browser.get("/access").headers["location"] == "/login"
            browser.password.set(PASSWORD)
        else:
            listed = browser.get("/access").text
            number = listed.partition('name="number" value="')[2][:8]
            browser.send("/access/end", number=number)
        assert browser.get("/access").status_code == 303, end


def test_a_cookie_is_for_this_host_alone_and_no_script(service: Running, tmp_path: Path) -> None:
    for lan in (False, True):
        chosen = options(service.socket.parent, lan=lan)
        cookie = Browser(chosen).post("/login", password=PASSWORD).headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert cookie.startswith("__Host-edgeface=") == lan
        assert ("Secure" in cookie) == lan


def test_without_a_password_nobody_gets_in(service: Running, tmp_path: Path) -> None:
    chosen = options(tmp_path)
    browser = Browser(chosen)
    (chosen.state / "password").unlink()
    assert "edgeface console password" in browser.get("/login").text
    for password in ("", PASSWORD):
        assert browser.post("/login", password=password).status_code == 403


def test_a_link_sets_the_password_once_and_logs_in(tmp_path: Path) -> None:
    clock = Clock()
    chosen = options(tmp_path)
    before = Browser(chosen, clock=clock).log_in()
    invitation = Invitation(chosen.state, clock)
    old, secret = invitation.make(), invitation.make()
    guest = Browser(chosen, clock=clock)
    assert guest.get(f"/first/{secret}").status_code == 200
    assert guest.get(f"/first/{secret}").status_code == 200  # asking does not use it up
    good = {"password": "a new password", "again": "a new password"}
    for given, status in (
        ({**good, "secret": old}, 403),  # replaced
        ({**good, "secret": secret[:-1]}, 403),
        ({**good, "secret": ""}, 403),
        ({"secret": secret, "password": "short", "again": "short"}, 400),
        ({**good, "secret": secret, "again": "another one"}, 400),
    ):
        assert guest.post("/first", **given).status_code == status
    other = guest.client.post(
        "/first", data={**good, "secret": secret}, headers={"Origin": "https://evil.example"}
    )
    assert other.status_code == 403
    assert before.get("/access").status_code == 200  # nothing has changed so far
    assert guest.post("/first", secret=secret, **good).headers["location"] == "/people"
    assert guest.get("/access").status_code == 200
    assert before.get("/access").status_code == 303  # its password is no longer the one
    assert Browser(chosen).post("/login", password=good["password"]).status_code == 303
    for again in (guest.get(f"/first/{secret}"), guest.post("/first", secret=secret, **good)):
        assert again.status_code == 403
        assert "edgeface console link" in again.text


def test_a_link_is_over_after_a_day(tmp_path: Path) -> None:
    clock = Clock()
    chosen = options(tmp_path)
    secret = Invitation(chosen.state, clock).make()
    guest = Browser(chosen, clock=clock)
    clock.now += 24 * 3600
    assert guest.get(f"/first/{secret}").status_code == 200
    clock.now += 1
    assert guest.get(f"/first/{secret}").status_code == 403
    answer = guest.post("/first", secret=secret, password="x" * 10, again="x" * 10)
    assert answer.status_code == 403


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_may_do_what_its_scopes_say_and_no_more(service: Running, scope: str) -> None:
    chosen = options(service.socket.parent)
    browser, tokens = Browser(chosen), Tokens(chosen.state)
    secret = tokens.add(f"one for {scope}", (scope,))
    assert secret not in (chosen.state / "tokens.json").read_text()
    header = {"Authorization": f"Bearer {secret}"}
    needed = {
        "/api/v1/status": "status",
        "/metrics": "status",
        "/api/v1/people": "people",
        "/api/v1/events": "events",
        "/api/v1/attendance": "events",
        "/api/v1/events.csv": "events",
    }
    for path, wanted in needed.items():
        assert browser.get(path, **header).status_code == (200 if wanted == scope else 403), path
    assert browser.get("/api/v1/openapi.json", **header).status_code == 200
    answer = browser.client.delete("/api/v1/people", params={"name": "nobody"}, headers=header)
    assert answer.status_code == (409 if scope == "manage" else 403)
    for path in PAGES:  # a page is for people
        assert browser.get(path, **header).status_code == 303
    tokens.remove(f"one for {scope}")
    assert browser.get("/api/v1/status", **header).status_code == 401


def test_the_interface_answers_what_it_describes(browser: Browser) -> None:
    described = browser.get("/api/v1/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    events = browser.get("/api/v1/events?limit=1").json()["events"]
    assert len(events) == 1
    parameters = described["paths"]["/api/v1/events"]["get"]["parameters"]
    kinds = next(one for one in parameters if one["name"] == "kind")["schema"]
    assert kinds["items"]["enum"] == list(EVENT_TYPES)
    for parameter in parameters:
        jsonschema.Draft202012Validator.check_schema(parameter["schema"])
    for path, methods in described["paths"].items():
        for method in methods if not path.endswith(("stream", "live")) else ():  # without end
            found = browser.client.request(method, path.replace("{id}", "x"))
            assert found.status_code != 405, path


def test_the_metrics_count_and_name_nobody(browser: Browser) -> None:
    text = browser.get("/metrics").text
    assert "edgeface_people 2" in text
    assert 'edgeface_sink_delivered_total{sink="history"}' in text
    assert "HYPERLINK" not in text


def test_older_events_follow_page_by_page(browser: Browser) -> None:
    newest = browser.get("/api/v1/events?limit=2").json()["events"]
    older = browser.get(f"/api/v1/events?limit=2&before={newest[0]['seq']}").json()["events"]
    assert older[0]["seq"] == newest[1]["seq"]


def test_the_picture_comes_with_boxes_names_and_reasons(browser: Browser) -> None:
    shown: list[dict[str, Any]] = []
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline and not any(
        face["width"] > 50 for each in shown for face in each["faces"]
    ):
        answer = browser.get("/api/v1/live?seconds=2")
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.text.splitlines()
        shown += [json.loads(line[6:]) for line in lines if line[:6] == "data: "]
    assert any(face["width"] > 50 for each in shown for face in each["faces"])
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(shown[-1]["picture"]), np.uint8), 1)
    assert picture is not None
    assert max(picture.shape) <= 640
    for face in (face for each in shown for face in each["faces"]):
        assert (face["name"] is None) == (face["why"] is not None)
    parts = browser.get("/live.mjpeg?seconds=3")
    assert "x-mixed-replace" in parts.headers["content-type"]
    assert b"Content-Type: image/jpeg\r\n" in parts.content
    for wrong in ("0", "301", "x"):
        assert browser.get(f"/api/v1/live?seconds={wrong}").status_code == 400
        assert browser.get(f"/live.mjpeg?seconds={wrong}").status_code == 400


def test_who_watches_is_in_the_audit_log(service: Running, browser: Browser) -> None:
    browser.get("/api/v1/live?seconds=1")
    records, _ = read_audit(service.gallery.with_name("audit.jsonl"))
    newest = [record for record in records if record.command == "watch"][-1]
    assert newest.outcome == "done"
    assert str(newest.detail).startswith("via console, session ")


def test_a_person_is_renamed_merged_and_removed(service: Running, browser: Browser) -> None:
    assert browser.send("/people/rename", name=FORMULA, to="ada").status_code == 303
    assert people(service) == {MARKUP, "ada"}
    assert browser.send("/people/rename", name="ada", to=MARKUP).status_code == 409  # is taken
    assert browser.send("/people/rename", name="ada", to=" ").status_code == 400
    headers = {"X-CSRF-Token": browser.csrf}
    for path, body in (("rename", {"name": "ada"}), ("merge", {"name": "ada", "to": "x"})):
        answer = browser.client.post(f"/api/v1/people/{path}", json=body, headers=headers)
        assert answer.status_code == 400
    body = {"name": "ada", "to": FORMULA}
    answer = browser.client.post("/api/v1/people/rename", json=body, headers=headers)
    assert answer.json()["name"] == FORMULA
    assert browser.send("/people/merge", name=FORMULA, into="nobody").status_code == 409
    assert browser.send("/people/merge", name=FORMULA, into=MARKUP).status_code == 409  # unlike
    assert people(service) == {MARKUP, FORMULA}
    FaceVerifier(service.gallery).enroll("twin", [PORTRAITS / "biden.jpg"], force=True)
    asked = browser.client.get("/people/change", params={"name": "twin"}).text
    assert "receives the templates of this one (1)" in asked
    assert "All templates (1) are deleted" in asked
    assert people(service) == {MARKUP, FORMULA, "twin"}  # asking has changed nothing
    assert browser.send("/people/merge", name="twin", into=FORMULA).status_code == 303
    assert people(service) == {MARKUP, FORMULA}
    FaceVerifier(service.gallery).enroll("cy", [PORTRAITS / "biden.jpg"], force=True)
    assert browser.send("/people/remove", name="cy").status_code == 303
    assert browser.client.get("/people/change", params={"name": "cy"}).status_code == 404
    assert people(service) == {MARKUP, FORMULA}


def test_one_template_of_several_is_removed(service: Running, browser: Browser) -> None:
    pictures = [PORTRAITS / f"{name}.jpg" for name in ("obama2", "obama3")]
    FaceVerifier(service.gallery).enroll("twin", pictures, force=True)
    shown = Elements(browser.client.get("/people/change", params={"name": "twin"}).text).found
    offered = [one["value"] for _, one in shown if one.get("name") == "template"]
    assert offered == ["1", "2"]
    for wrong, status in (("0", 400), ("x", 400), ("-1", 400), ("3", 409)):
        answer = browser.send("/people/remove", name="twin", template=wrong)
        assert answer.status_code == status, wrong
    left = browser.send("/people/remove", name="twin", template="2")
    assert left.headers["location"] == "/people/change?name=twin"
    headers = {"X-CSRF-Token": browser.csrf}
    url = "/api/v1/people"
    last = browser.client.delete(url, params={"name": "twin", "template": 1}, headers=headers)
    assert (last.status_code, "this template alone" in last.json()["error"]) == (409, True)
    listed = {p["name"]: p["templates"] for p in browser.get(url).json()["people"]}
    assert listed["twin"] == 1
    gone = browser.client.delete(url, params={"name": "twin"}, headers=headers)
    assert gone.json()["templates"] == 1


def test_rules_are_set_on_the_page_and_by_the_interface_and_shown(
    service: Running, browser: Browser
) -> None:
    fields = {"name": FORMULA, "hours": "Mon-Fri 8:00-18:00", "until": "2099-12-31"}
    some = {**fields, "which": "some", "output-gpio": "on", "output-x": "on"}
    assert browser.post("/people/rules", csrf="x", **some).status_code == 403
    assert browser.send("/people/rules", **some).status_code == 303
    shown = browser.get("/people").text
    assert "mon-fri 08:00-18:00" in shown
    assert "2099-12-31" in shown
    form = Elements(browser.client.get("/people/change", params={"name": FORMULA}).text).found
    values = {attributes.get("name"): attributes for _, attributes in form}
    assert values["hours"]["value"] == "mon-fri 08:00-18:00"
    assert "checked" in values["output-gpio"]
    assert "checked" not in values["output-exec"]
    wrong = browser.send("/people/rules", **{**some, "hours": "<b>8-18</b>"})
    assert (wrong.status_code, "&lt;b&gt;8-18" in wrong.text) == (409, True)
    headers = {"X-CSRF-Token": browser.csrf}
    url = "/api/v1/people/rules"
    answer = browser.client.post(url, json={"name": FORMULA, "until": None}, headers=headers)
    assert answer.json() == {
        **{"name": FORMULA, "hours": "mon-fri 08:00-18:00", "until": None},
        "outputs": ["gpio"],
    }
    for body in ({"hours": None}, {"name": FORMULA, "hours": 8}, {"name": FORMULA, "days": "x"}):
        assert browser.client.post(url, json=body, headers=headers).status_code == 400
    records, _ = read_audit(service.gallery.with_name("audit.jsonl"))
    assert "set to hours mon-fri 08:00-18:00; outputs ['gpio']" in str(records[-1].detail)
    assert str(records[-1].detail).startswith("via console, session ")
    assert browser.send("/people/rules", name=FORMULA, which="all").status_code == 303
    listed = browser.get("/api/v1/people").json()["people"]
    none = {"hours": None, "until": None, "outputs": None}
    assert {person["name"]: person["rules"] for person in listed} == {FORMULA: none, MARKUP: none}


def test_somebody_is_enrolled_at_the_door_and_removed_and_the_audit_log_says_by_whom(
    service: Running,
) -> None:
    chosen = options(service.socket.parent)
    with (browser := Browser(chosen).log_in()).client:
        started = browser.send("/people/enroll", name="  <b>Cy</b>  ")
        assert started.status_code == 303, started.text
        page = started.headers["location"]
        busy = browser.send("/people/enroll", name="dee")
        assert (busy.status_code, "already" in busy.text) == (409, True)
        shown = browser.get(page)
        assert "&lt;b&gt;Cy" in shown.text
        assert 'http-equiv="refresh"' in shown.text  # goes on without scripts
        assert browser.post(f"{page}/cancel", csrf="x").status_code == 403
        assert browser.send(f"{page}/cancel").status_code == 303
        assert "it was cancelled" in browser.get(page).text
        assert "refresh" not in browser.get(page).text
        headers = {"X-CSRF-Token": browser.csrf}
        gone = browser.client.delete("/api/v1/people", params={"name": "no one"}, headers=headers)
        assert (gone.status_code, "no one" in gone.json()["error"]) == (409, True)
    deadline = time.monotonic() + LONG
    details: list[Any] = []
    while time.monotonic() < deadline and not any("closed" in str(one) for one in details):
        records, problems = read_audit(service.gallery.with_name("audit.jsonl"))
        assert problems == []
        details = [record.detail for record in records if record.command == "enroll"]
        time.sleep(0.02)
    assert details[-1].startswith("via console, session ")
    assert "the connection was closed" in details[-1]
    assert people(service) == {MARKUP, FORMULA}
