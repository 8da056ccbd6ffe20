"""Cameras that send one picture for each request are polled, fairly and without a word."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest

from edgeface.sources import SourceLost, SourceSettings, open_source
from edgeface.sources.feed import LiveFeed
from tests.helpers.sources import Camera, Respond, jpeg, part, parts


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("edgeface.sources.http_client.time", clock)
    return clock


def snapshots(*statuses: int) -> Respond:
    """Answers each request with a picture that is brighter than the one before; `statuses` are
    those of the first answers, 200 where they end."""
    count = iter(range(1000))

    def respond(handler: BaseHTTPRequestHandler) -> None:
        number = next(count)
        status = statuses[number] if number < len(statuses) else 200
        data = jpeg(10 * number) if status == 200 else b"busy"
        handler.send_response(status)
        handler.send_header("Content-Type", "image/jpeg" if status == 200 else "text/plain")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return respond


def one_at_a_time() -> Respond:
    """A multipart stream that ends after each picture, as some cameras send it."""
    count = iter(range(1000))

    def respond(handler: BaseHTTPRequestHandler) -> None:
        parts(part(jpeg(10 * next(count))), b"--frame--\r\n")(handler)

    return respond


@pytest.mark.parametrize("respond", [snapshots, one_at_a_time])
@pytest.mark.parametrize(("fps", "apart"), [(15, 0.2), (2, 0.5)])
def test_a_snapshot_address_is_polled(
    respond: Callable[[], Respond],
    fps: float,
    apart: float,
    camera: Callable[[Respond], Camera],
    clock: Clock,
) -> None:
    door = camera(respond())
    source = open_source(SourceSettings(spec=door.url, fps=fps))
    levels = [round(float(source.read().picture.mean())) for _ in range(6)]
    source.close()
    assert levels == [0, 10, 20, 30, 40, 50]
    assert door.requests == 6
    assert clock.slept == [apart] * 5


@pytest.mark.parametrize("respond", [snapshots, one_at_a_time])
def test_polling_is_no_loss(
    respond: Callable[[], Respond], camera: Callable[[Respond], Camera], clock: Clock
) -> None:
    with LiveFeed(SourceSettings(spec=camera(respond()).url)) as feed:
        seen = [frame for _ in range(20) if (frame := feed.next(5)) is not None]
        assert len(seen) == 20
        assert feed.notices() == []


def test_a_request_that_fails_now_and_then_is_made_again(
    camera: Callable[[Respond], Camera], clock: Clock
) -> None:
    source = open_source(SourceSettings(spec=camera(snapshots(200, 503, 503, 200, 500)).url))
    levels = [round(float(source.read().picture.mean())) for _ in range(3)]
    assert levels == [0, 30, 50]


def test_a_camera_that_keeps_failing_is_lost(
    camera: Callable[[Respond], Camera], clock: Clock
) -> None:
    door = camera(snapshots(200, 503, 503, 503))
    source = open_source(SourceSettings(spec=door.url))
    source.read()
    with pytest.raises(SourceLost, match="answers with status 503"):
        source.read()
    assert door.requests == 4
