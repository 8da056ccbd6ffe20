"""Follow: what a camera, stream or video shows, for a Python program, as the service sees it.

Takes in a source, hands on a `Moment` for each frame: the faces in view with their liveness, and
the events that the service would send. It opens no socket, keeps no state and opens nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Self

import msgspec

from edgeface.errors import ConfigError, EdgeFaceError
from edgeface.events import Event, EventType, incident
from edgeface.pipeline.pictures import Picture
from edgeface.service.config import Config, load_config
from edgeface.service.frame_result import FrameResult
from edgeface.service.people import People
from edgeface.service.permits import Permits
from edgeface.service.viewers import ShownFace
from edgeface.service.watch import Asked, Watch
from edgeface.sources import Frame, SourceEnded
from edgeface.sources.feed import FileFeed, LiveFeed, open_feed
from edgeface.system.clock import Clock
from edgeface.system.closing import Closing

_TICK = 0.25  # seconds that a camera is waited for before its news are looked after


@dataclass(frozen=True)
class Moment:
    """One frame. time: in the source's seconds; picture: uint8 BGR of shape (H, W, 3), None where
    no frame came but news did; faces: those in view; events: what the service would send; problem:
    why nobody can be recognized, None where people can."""

    time: float
    source: str
    picture: Picture | None
    faces: tuple[ShownFace, ...]
    events: tuple[Event, ...]
    problem: str | None = None


def watch(
    source: str | PathLike[str] | None = None,
    *,
    gallery: str | PathLike[str] | None = None,
    model: str | PathLike[str] | None = None,
    profile: str | None = None,
    settings: str | PathLike[str] | None = None,
) -> Following:
    """What `source` shows, frame by frame, until it ends, or you `close` it or leave its `with`.

    `source` is as behind `edgeface run --source`. `settings` is a file like the service's, whose
    tables source, recognition, liveness and rules count; the other arguments come before it. Act
    on events of type `recognized` alone: they have the profile's proof of life, and the rules of
    the person. A camera that is lost comes back by itself, with an event each. One thread at a
    time. Raises ConfigError for what can never work, GalleryError and ModelError.

        for moment in edgeface.watch("rtsp://camera/stream"):
            for event in moment.events:
                print(event.type, event.name)
    """
    config = load_config(Path(settings)) if settings is not None else Config()
    given = {"gallery": gallery, "model": model}
    chosen = {key: fspath(path) for key, path in given.items() if path is not None}
    tables: dict[str, dict[str, str]] = {"recognition": chosen}
    if source is not None:
        tables["source"] = {"spec": fspath(source)}
    if profile is not None:
        tables["liveness"] = {"profile": profile}
    try:
        parts = {
            name: type(part)(**{**msgspec.structs.asdict(part), **tables[name]})
            for name, part in msgspec.structs.asdict(config).items()
            if name in tables
        }
        config = msgspec.structs.replace(config, **parts)
        config.__post_init__()  # what the tables say together
    except ValueError as error:
        raise ConfigError(str(error)) from None
    # Opened now, so that what is wrong is said by this call and not by the first frame.
    people = People(config.recognition)
    return Following(config, people, open_feed(config.source))


class Following(Closing):
    """The moments of one source, an iterator. One thread at a time."""

    def __init__(self, config: Config, people: People, feed: FileFeed | LiveFeed) -> None:
        self._people, self._feed = people, feed
        self._watch = Watch(people, config.recognition, config.profile)
        clock = Clock(trusted=config.rules.clock == "trusted")
        self._permits = Permits(config.recognition.gallery_path, clock)
        self._time = 0.0
        self._moments = self._follow()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Moment:
        return next(self._moments)

    def close(self) -> None:
        """Let go of the source; there are no more moments."""
        self._moments.close()
        self._feed.close()

    def _follow(self) -> Generator[Moment, None, None]:
        with self._feed:
            while True:
                try:
                    frame = self._feed.next(_TICK)
                except SourceEnded:
                    break
                news = self._news()
                if frame is not None:
                    yield self._moment(frame, news)
                elif news:
                    yield self._without_frame(news)
            if last := self._events(self._watch.finish(self._feed.name)):
                yield self._without_frame(last)

    def _moment(self, frame: Frame, news: list[Event]) -> Moment:
        self._time = frame.time
        source, trouble = frame.name or self._feed.name, self._people.problem
        try:
            news += self._events(self._watch.step(frame, source, Asked()))
        except EdgeFaceError as error:
            trouble = str(error)
        shown = tuple(self._watch.shown)
        # A copy: a camera's own memory goes back to it with the next frame.
        return Moment(frame.time, source, frame.picture.copy(), shown, tuple(news), trouble)

    def _without_frame(self, events: list[Event]) -> Moment:
        return Moment(self._time, self._feed.name, None, (), tuple(events), self._people.problem)

    def _news(self) -> list[Event]:
        """Of the camera, and of a gallery that has changed."""
        name, news = self._feed.name, []
        for notice in self._feed.notices():
            kind: EventType = "source_lost" if notice.lost else "source_back"
            news.append(incident(kind, name, notice.message))
        if self._people.refresh():
            self._watch.gallery_changed()
        if problem := self._people.take_problem():
            news.append(incident("gallery_unusable", name, problem))
        self._permits.refresh()
        return news

    def _events(self, result: FrameResult) -> list[Event]:
        """What happened, with what the rules refuse to whoever asks live."""
        events = []
        for event, _ in result.events:
            given, instead = self._permits.judge(event)
            events.append(instead.get("live", given))
        return events
