"""Watch: what happens on one frame, from the picture to what is worth telling.

Takes in frames, hands on `Sight`s: the looks taken at faces, and the events that came of them. It
waits for nothing and talks to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeface.config import Recognition
from edgeface.decide import Decision
from edgeface.detect import Face, around
from edgeface.events import Event, face_event
from edgeface.line import Subject
from edgeface.pictures import Picture
from edgeface.service.judge import Judge, Rules, Verdict
from edgeface.service.people import People
from edgeface.service.search import Search
from edgeface.sources import Frame
from edgeface.track import Track, Tracker

_MOST_LOOKS = 2  # encodings a frame: several people take turns
_SURE_SIGHTINGS = 3  # frames in which a face must be found before it is judged


@dataclass(frozen=True)
class Look:
    """One encoded face of one frame."""

    track: int
    subject: Subject
    decision: Decision
    picture: Picture
    time: float


@dataclass
class Sight:
    """What one frame showed; the pictures are cut-outs of faces, in copies of their own.

    faces: how many are in view, those that were not looked at and those just lost included.
    """

    looks: list[Look] = field(default_factory=list)
    faces: int = 0
    events: list[tuple[Event, Picture | None]] = field(default_factory=list)


@dataclass
class _Last:
    """What is needed to tell of a track after it has left."""

    face: Face
    quality: float
    picture: Picture


class Watch:
    """Search, tracks and verdicts of one source. One thread at a time."""

    def __init__(self, people: People, settings: Recognition) -> None:
        self._people, self._settings = people, settings
        self._search = Search(people.line, settings.smallest_face)
        self._tracker = Tracker()
        self._judge = Judge(
            Rules(settings.agree, settings.of, settings.least_quality, settings.recheck)
        )
        self._told: dict[str | int, float] = {}
        self._last: dict[int, _Last] = {}

    @property
    def calm(self) -> bool:
        """Whether nobody is in view and nothing moves."""
        return not self._tracker.tracks and self._search.calm

    @property
    def in_view(self) -> list[tuple[int, str | None]]:
        """The tracks in view and whom each is taken for."""
        return [(track.number, self._judge.name_of(track.number)) for track in self._tracker.tracks]

    def untold(self, name: str | None) -> None:
        """The last event about this person did not get out: tell of them again at once."""
        if name is not None:
            self._told.pop(name, None)

    def gallery_changed(self) -> None:
        """Judge everybody in view anew."""
        self._judge.forget()

    def step(self, frame: Frame, source: str, *, eager: bool = False) -> Sight:
        """Work on one frame. With `eager` every face is encoded, whether or not it pays."""
        if frame.still:
            return self._still(frame, source)
        tracks = self._tracker.tracks
        seen, ended = self._tracker.update(self._search.faces(frame, tracks), frame.time)
        sight = Sight(faces=len(self._tracker.tracks))
        for track in ended:
            self._end(track, source, frame.time, sight)
        waiting = sorted(seen, key=lambda track: -self._judge.waited(track.number, frame.time))
        for track in waiting:
            if track.sightings >= _SURE_SIGHTINGS and len(sight.looks) < _MOST_LOOKS:
                self._judge_track(track, frame, source, sight, eager)
        return sight

    def finish(self, source: str) -> Sight:
        """End every track: the source has ended or will be another one."""
        sight = Sight()
        for track in self._tracker.end_all():
            self._end(track, source, track.last_seen, sight)
        return sight

    def _still(self, frame: Frame, source: str) -> Sight:
        """A picture that stands alone: every face is judged by its one look."""
        sight = Sight()
        for face in self._people.line.detect(frame.picture):
            number = self._tracker.begin(face, frame.time).number
            look = self._look(number, face, frame)
            sight.looks.append(look)
            sight.faces += 1
            quality = look.subject.quality.score
            verdict = Verdict(look.decision.name, look.decision.score, look.decision.threshold)
            sight.events.append((_event(source, number, face, quality, verdict), look.picture))
        return sight

    def _judge_track(
        self, track: Track, frame: Frame, source: str, sight: Sight, eager: bool
    ) -> None:
        number, now = track.number, frame.time
        quality = self._people.line.assess(frame.picture, track.face).score
        if not eager and not self._judge.pays(number, quality, now):
            return
        look = self._look(number, track.face, frame)
        sight.looks.append(look)
        last = self._last.get(number)
        if last is None or quality >= last.quality:
            self._last[number] = _Last(track.face, quality, look.picture)
        if self._judge.pays(number, quality, now):  # an eager look votes only when it would anyway
            verdict = self._judge.vote(number, look.decision, quality, now)
            if verdict is not None:
                self._tell(track, verdict, source, now, sight)

    def _look(self, number: int, face: Face, frame: Frame) -> Look:
        subject = self._people.line.encode(frame.picture, face)
        decision = self._people.recognize(subject)
        return Look(number, subject, decision, _cut_out(frame.picture, face), frame.time)

    def _end(self, track: Track, source: str, now: float, sight: Sight) -> None:
        verdict = self._judge.close(track.number)
        if verdict is not None:
            self._tell(track, verdict, source, now, sight)
        self._last.pop(track.number, None)

    def _tell(self, track: Track, verdict: Verdict, source: str, now: float, sight: Sight) -> None:
        """Make an event of a verdict unless this person, or this stranger, was told lately."""
        self._told = {
            who: when for who, when in self._told.items() if now - when < self._settings.cooldown
        }
        who = verdict.name if verdict.name is not None else track.number
        if who in self._told:
            return
        self._told[who] = now
        last = self._last[track.number]
        event = _event(source, track.number, last.face, last.quality, verdict)
        sight.events.append((event, last.picture))


def _event(source: str, number: int, face: Face, quality: float, verdict: Verdict) -> Event:
    return face_event(
        "unknown" if verdict.name is None else "recognized",
        source,
        number,
        face,
        quality,
        (verdict.name, verdict.score, verdict.threshold),
    )


def _cut_out(picture: Picture, face: Face) -> Picture:
    """A copy of the frame around the face, with room for it to be found again."""
    square = around(face.box)
    top, left = max(0, square.y), max(0, square.x)
    return picture[top : square.y + square.side, left : square.x + square.side].copy()
