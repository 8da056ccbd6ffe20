"""The feed of a live source: newest frame only, lost and found again."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import cv2
import pytest

from edgeface.errors import ConfigError, EdgeFaceError
from edgeface.sources import Frame, SourceSettings
from edgeface.sources.feed import LiveFeed, Notice, open_feed
from tests.helpers.rtmp import RtmpServer
from tests.helpers.sources import MjpegServer, numbered, write_video


def wait_for_frame(feed: LiveFeed, seconds: float = 20) -> float:
    """Mean brightness of the next frame; fails the test if none comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        frame = feed.next(0.2)
        if frame is not None:
            return float(frame.picture.mean())
    raise AssertionError("no frame came")


def wait_for_notice(feed: LiveFeed, lost: bool, seconds: float = 20) -> Notice:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        feed.next(0.05)
        for notice in feed.notices():
            if notice.lost == lost:
                return notice
    raise AssertionError(f"no notice with lost={lost} came")


def resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_slow_reader_gets_the_newest_frame() -> None:
    server = MjpegServer()
    with open_feed(SourceSettings(spec=server.url)) as feed:
        assert isinstance(feed, LiveFeed)
        first = wait_for_frame(feed)
        time.sleep(0.5)
        later = wait_for_frame(feed)
    server.cut()
    # The server counts up by one each 10 ms: a queue would have given first + 1.
    assert later > first + 10


def test_a_stream_that_is_cut_five_times_recovers_each_time_and_leaks_nothing() -> None:
    server = MjpegServer()
    threads = threading.active_count()
    with LiveFeed(SourceSettings(spec=server.url)) as feed:
        wait_for_frame(feed)
        sizes = []
        for _ in range(5):
            server.cut()
            assert "trying again" in wait_for_notice(feed, lost=True).message
            server = MjpegServer(server.port)
            assert "is back" in wait_for_notice(feed, lost=False).message
            wait_for_frame(feed)
            sizes.append(resident_mb())
        assert not feed.notices()
        assert sizes[-1] - sizes[0] < 8
        descriptors = len(os.listdir("/proc/self/fd"))
    server.cut()
    time.sleep(0.2)
    assert threading.active_count() <= threads
    assert len(os.listdir("/proc/self/fd")) < descriptors


def test_a_stream_that_is_not_there_yet_is_reported_once_and_waited_for() -> None:
    server = MjpegServer()
    port = server.port
    server.cut()
    with LiveFeed(SourceSettings(spec=server.url)) as feed:
        wait_for_notice(feed, lost=True)
        time.sleep(1.5)  # further attempts fail without a word
        assert not feed.notices()
        server = MjpegServer(port)
        wait_for_notice(feed, lost=False)
    server.cut()


def test_an_rtmp_stream_is_read_as_it_comes_and_lost_with_its_server(tmp_path: Path) -> None:
    file = tmp_path / "v.flv"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"FLV1"), 25, (96, 64))
    for number in range(25):
        writer.write(numbered(10 * number))
    writer.release()
    server = RtmpServer(file)
    secret = server.url.replace("rtmp://", "rtmp://ada:hush@")
    with LiveFeed(SourceSettings(spec=secret)) as feed:
        seen = [wait_for_frame(feed) for _ in range(5)]
        server.close()
        message = wait_for_notice(feed, lost=True).message
    assert len(set(seen)) >= 3  # each frame is ten levels brighter than the one before
    assert "rtmp://" in message and "hush" not in message


def test_a_password_in_a_url_is_not_told() -> None:
    with LiveFeed(SourceSettings(spec="http://ada:secret@127.0.0.1:9/stream")) as feed:
        notice = wait_for_notice(feed, lost=True)
    assert "secret" not in notice.message


def test_a_camera_that_is_unplugged_is_waited_for() -> None:
    with LiveFeed(SourceSettings(spec="/dev/video63")) as feed:
        assert wait_for_notice(feed, lost=True)
        assert feed.next(0.1) is None


def test_what_can_never_work_is_raised_where_frames_are_asked_for(tmp_path: Path) -> None:
    with (
        LiveFeed(SourceSettings(spec=str(tmp_path / "missing.mp4"), pace="own")) as feed,
        pytest.raises(ConfigError, match="there is no source"),
    ):
        wait_for_frame(feed)


class Broken:
    """A source whose driver fails as no source should, before its first picture."""

    name = "broken"

    def __init__(self, error: type[BaseException]) -> None:
        self.error, self.opened, self.closed = error, 0, 0

    def open(self, settings: SourceSettings) -> Broken:
        self.opened += 1
        return self

    def read(self) -> Frame:
        raise self.error("a driver's defect")

    def close(self) -> None:
        self.closed += 1


def test_a_source_that_fails_in_an_unforeseen_way_is_lost_and_opened_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Broken(RuntimeError)
    monkeypatch.setattr("edgeface.sources.feed.open_source", broken.open)
    with LiveFeed(SourceSettings(spec="0")) as feed:
        assert "broken failed (RuntimeError)" in wait_for_notice(feed, lost=True).message
        deadline = time.monotonic() + 10
        while broken.opened < 2:
            assert feed.next(0.1) is None
            assert time.monotonic() < deadline
    assert broken.closed >= 1
    assert "a driver's defect" in caplog.text  # with its traceback


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_capture_thread_that_ended_ends_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeface.sources.feed.open_source", Broken(SystemExit).open)
    with (
        LiveFeed(SourceSettings(spec="0")) as feed,
        pytest.raises(EdgeFaceError, match="nothing reads"),
    ):
        wait_for_frame(feed)


def test_a_video_at_its_own_speed_skips_for_a_slow_reader(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.avi", 20, fps=50)
    with LiveFeed(SourceSettings(spec=str(video), pace="own")) as feed:
        first = feed.next(2)
        assert first is not None
        time.sleep(0.2)
        second = feed.next(2)
        assert second is not None
        assert second.time - first.time > 0.05
