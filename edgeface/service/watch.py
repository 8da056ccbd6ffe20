"""Watch: what happens on one frame, from the picture to what is worth telling.

Takes in frames, hands on `Sight`s: the looks taken at faces, and the events that came of them. It
waits for nothing and talks to nobody.

Nobody is told to be recognized unless the profile's proof of life is there for the same thing
before the camera, and a look taken with that proof agrees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgeface.events import Event, EventType, face_event
from edgeface.liveness import Liveness, LivenessVerdict, Profile, may_pass
from edgeface.pipeline.detect import Face, around
from edgeface.pipeline.pictures import Picture
from edgeface.service.challenger import Challenger
from edgeface.service.config import RecognitionSettings
from edgeface.service.judge import Judge, Rules, Verdict
from edgeface.service.people import People
from edgeface.service.proof import Proofs
from edgeface.service.search import Search
from edgeface.service.sight import Look, Sight
from edgeface.service.tracker import Track, Tracker
from edgeface.sources import Frame

_MOST_LOOKS = 2  # encodings a frame: several people take turns
_SURE_SIGHTINGS = 3  # frames in which a face must be found before it is judged
_SURELY_SPOOF = 1.5  # seconds for which the verdict must stand before it is told
_ONE_PICTURE = "one picture cannot show that a person is alive"


@dataclass(frozen=True)
class Asked:
    """What is going on besides. eager: every face is encoded, whether or not it pays; judged: its
    liveness is judged even if the profile does not ask for that; challenge: challenges may begin
    where the profile wants them."""

    eager: bool = False
    judged: bool = False
    challenge: bool = True


@dataclass
class _Last:
    """What is needed to tell of a track after it has left."""

    face: Face
    quality: float
    picture: Picture


class Watch:
    """Search, tracks and verdicts of one source. One thread at a time."""

    def __init__(
        self, people: People, settings: RecognitionSettings, profile: Profile = Profile.STANDARD
    ) -> None:
        self._people, self._settings, self._profile = people, settings, profile
        self._search = Search(people.pipeline, settings.smallest_face)
        self._tracker = Tracker()
        self._judge = Judge(
            Rules(settings.agree, settings.of, settings.least_quality, settings.recheck)
        )
        self._proofs = Proofs(people.pipeline)
        self._challenger = Challenger()
        self._told: dict[str | int, float] = {}
        self._last: dict[int, _Last] = {}
        self._owed: dict[int, Verdict] = {}  # recognized, but not shown to be alive
        self._done: set[int] = set()  # of these tracks enough was told

    @property
    def calm(self) -> bool:
        """Whether nobody is in view and nothing moves."""
        return not self._tracker.tracks and self._search.calm

    @property
    def in_view(self) -> list[tuple[int, str | None, LivenessVerdict | None]]:
        """The tracks in view, whom each is like, and whether it is alive."""
        return [
            (track.number, self._judge.name_of(track.number), self._proofs.verdict(track.number))
            for track in self._tracker.tracks
        ]

    def untold(self, name: str | None) -> None:
        """The last event about this person did not get out: tell of them again at once."""
        if name is not None:
            self._told.pop(name, None)

    def gallery_changed(self) -> None:
        """Judge everybody in view anew."""
        self._judge.forget()
        self._owed.clear()

    def step(self, frame: Frame, source: str, asked: Asked | None = None) -> Sight:
        """Work on one frame."""
        asked = asked or Asked()
        if frame.still:
            return self._still(frame, source)
        tracks = self._tracker.tracks
        seen, ended = self._tracker.update(self._search.faces(frame, tracks), frame.time)
        in_view = self._tracker.tracks
        sight = Sight(
            faces=len(in_view),
            sure=sum(track.sightings >= _SURE_SIGHTINGS for track in in_view),
            time=frame.time,
            seen=frozenset(track.number for track in seen),
        )
        for track in ended:
            self._end(track, source, frame.time, sight)
        waiting = sorted(seen, key=lambda track: -self._judge.waited(track.number, frame.time))
        for track in waiting:
            if track.sightings >= _SURE_SIGHTINGS and len(sight.looks) < _MOST_LOOKS:
                self._judge_liveness(track, frame, sight, asked)
                self._judge_track(track, frame, source, sight, asked)
        self._challenge(sight, source, asked)
        self._report(source, sight)
        return sight

    def finish(self, source: str) -> Sight:
        """End every track: the source has ended or will be another one."""
        sight = Sight()
        for track in self._tracker.end_all():
            self._end(track, source, track.last_seen, sight)
        return sight

    def _still(self, frame: Frame, source: str) -> Sight:
        """A picture that stands alone: every face is judged by its one look."""
        sight = Sight(time=frame.time)
        for face in self._people.pipeline.detect(frame.picture):
            number = self._tracker.begin(face, frame.time).number
            look = self._look(number, face, frame)
            sight.looks.append(look)
            sight.faces += 1
            self._last[number] = _Last(face, look.subject.quality.score, look.picture)
            verdict = Verdict(look.decision.name, look.decision.score, look.decision.threshold)
            if verdict.name is None or not self._profile.judged:
                self._tell(number, verdict, source, sight)
            else:
                self._refuse(number, verdict, source, sight, _ONE_PICTURE)
            del self._last[number]
        return sight

    def _judge_liveness(self, track: Track, frame: Frame, sight: Sight, asked: Asked) -> None:
        """Look whether the face lives where that matters; what was before it began anew is void."""
        if self._proofs.begun(track.number) or (asked.eager and self._judged(asked)):
            verdict = self._proofs.look(track, frame, sight)
            if verdict is not None:
                self._judge.drop(track.number, verdict.since)

    def _judge_track(
        self, track: Track, frame: Frame, source: str, sight: Sight, asked: Asked
    ) -> None:
        number, now = track.number, frame.time
        quality = self._people.pipeline.assess(frame.picture, track.face).score
        owed = number in self._owed and self._ready(number)
        pays = self._judge.pays(number, quality, now, owed=owed)
        if not (pays or asked.eager or self._challenger.due(number, now)):
            return
        look = self._look(number, track.face, frame)
        if self._judged(asked):
            look = self._with_liveness(look, track, frame, sight)
        sight.looks.append(look)
        last = self._last.get(number)
        if last is None or quality >= last.quality:
            self._last[number] = _Last(track.face, quality, look.picture)
        if pays or self._judge.pays(number, quality, now):  # an eager look votes only when it pays
            verdict = self._judge.vote(number, look.decision, quality, now)
            if verdict is not None:
                self._decide(number, verdict, look, source, sight)

    def _judged(self, asked: Asked) -> bool:
        return self._profile.judged or asked.judged

    def _with_liveness(self, look: Look, track: Track, frame: Frame, sight: Sight) -> Look:
        """The look with what is known of its track's life, which is judged from here on if the
        face is like anybody's."""
        number = track.number
        if look.decision.name is not None:
            self._proofs.look(track, frame, sight)
        if not self._proofs.same(number, look.subject.embedding, frame.time):
            self._judge.drop(number, frame.time)
            self._owed.pop(number, None)
            self._done.discard(number)
        return replace(look, liveness=self._proofs.verdict(number))

    def _decide(self, number: int, verdict: Verdict, look: Look, source: str, sight: Sight) -> None:
        """Tell of an agreed verdict, or hold it back until the face is shown to be alive."""
        if verdict.name is None:
            self._owed.pop(number, None)
        elif not may_pass(self._profile, look.liveness, self._challenger.status_for(look)):
            self._owed[number] = verdict
            return
        else:
            self._owed.pop(number, None)
            self._done.add(number)
            self._challenger.used(number)
        if self._lately(verdict.name if verdict.name is not None else number, look.time):
            return
        self._tell(number, verdict, source, sight)

    def _ready(self, number: int) -> bool:
        """Whether a fresh look could be told now."""
        verdict = self._proofs.verdict(number)
        if verdict is None or verdict.liveness is not Liveness.LIVE:
            return not self._profile.judged
        return not self._profile.challenged or self._challenger.passed(number)

    def _challenge(self, sight: Sight, source: str, asked: Asked) -> None:
        """Challenge who is like an enrolled person, in the profile that wants it."""
        if not self._profile.challenged:
            return
        if not asked.challenge:
            self._challenger.cancel()
            return
        for number in sight.seen & self._owed.keys():
            verdict = self._proofs.verdict(number)
            spoof = verdict is None or verdict.liveness is Liveness.SPOOF
            if not spoof and self._challenger.offer(number, sight):
                self._judge.drop(number, sight.time)  # what was seen before does not count
        self._challenger.see(sight, source, self._proofs)

    def _report(self, source: str, sight: Sight) -> None:
        """Tell of a picture held to the camera, once a track."""
        for number in sight.seen & self._owed.keys():
            held = self._proofs.spoof_for(number, sight.time)
            if held >= _SURELY_SPOOF and number not in self._done:
                self._done.add(number)
                self._refuse(number, self._owed[number], source, sight)

    def _look(self, number: int, face: Face, frame: Frame) -> Look:
        subject = self._people.pipeline.encode(frame.picture, face)
        decision = self._people.recognize(subject)
        return Look(number, subject, decision, _cut_out(frame.picture, face), frame.time)

    def _end(self, track: Track, source: str, now: float, sight: Sight) -> None:
        number = track.number
        verdict, owed = self._judge.close(number), self._owed.pop(number, None)
        if verdict is not None and not self._lately(number, now):
            self._tell(number, verdict, source, sight)
        elif owed is not None and number not in self._done:
            self._refuse(number, owed, source, sight)
        self._last.pop(number, None)
        self._proofs.end(number)
        self._challenger.end(number)
        self._done.discard(number)

    def _lately(self, who: str | int, now: float) -> bool:
        """Whether this person, or this stranger, was told lately; from now on they were."""
        self._told = {
            who: when for who, when in self._told.items() if now - when < self._settings.cooldown
        }
        if who in self._told:
            return True
        self._told[who] = now
        return False

    def _tell(self, number: int, verdict: Verdict, source: str, sight: Sight) -> None:
        """Make an event of a verdict."""
        kind: EventType = "unknown" if verdict.name is None else "recognized"
        named = (verdict.name, verdict.score, verdict.threshold)
        self._put(kind, number, named, source, sight)

    def _refuse(
        self, number: int, verdict: Verdict, source: str, sight: Sight, why: str | None = None
    ) -> None:
        """Tell that somebody's likeness was seen, which proves nobody: the event names nobody."""
        liveness = self._proofs.verdict(number)
        why = why or (liveness.reason if liveness is not None else "not seen long enough")
        nobody = (None, verdict.score, verdict.threshold)
        self._put(
            "not_live", number, nobody, source, sight, f"looks like {verdict.name}, but: {why}"
        )

    def _put(
        self,
        kind: EventType,
        number: int,
        named: tuple[str | None, float, float],
        source: str,
        sight: Sight,
        message: str | None = None,
    ) -> None:
        last, liveness = self._last[number], self._proofs.verdict(number)
        event: Event = face_event(
            kind, source, number, last.face, last.quality, named, liveness, message
        )
        sight.events.append((event, last.picture))


def _cut_out(picture: Picture, face: Face) -> Picture:
    """A copy of the frame around the face, with room for it to be found again."""
    square = around(face.box)
    top, left = max(0, square.y), max(0, square.x)
    return picture[top : square.y + square.side, left : square.x + square.side].copy()
