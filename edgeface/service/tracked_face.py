"""TrackedFace: the whole state of one face in view, and the rules by which it is reported.

Takes in the frames in which its track was found, adds observations and events to the `FrameResult`.
It neither finds nor follows faces: the tracker does.

Nobody is reported as recognized unless the object in view has given the profile's proof of life and
an observation made while that proof held agrees.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from edgeface.events import EventType, face_event, prompt_event
from edgeface.liveness import Liveness, Profile, account, may_pass
from edgeface.pipeline.detect import Face
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.quality import Quality
from edgeface.pipeline.squares import around
from edgeface.service.ballot import Ballot, Rules, Verdict
from edgeface.service.challenger import MOST_TRIES, Challenger
from edgeface.service.cooldown import Cooldown
from edgeface.service.frame_result import FrameResult, Observation
from edgeface.service.people import People
from edgeface.service.proof import Proof, ProofTools
from edgeface.service.tracker import Track
from edgeface.service.viewers import ShownFace
from edgeface.sources import Frame

LEAST_DETECTIONS = 3  # frames in which a face must be found before it is judged
_SURELY_SPOOF = 1.5  # seconds for which the verdict must last before it is reported
_PROMPT_AFTER, _PROMPT_EVERY, _MOST_PROMPTS = 1.5, 5.0, 3  # seconds, seconds, number per track
_TURN = "turn your head a little to one side and back"
_ONE_PICTURE = "one picture cannot show that a person is alive"


@dataclass(frozen=True)
class Asked:
    """What is asked of a frame. eager: encode every face, whether or not it pays; judged: judge
    liveness even if the profile does not need it; challenge: challenges may begin where the profile
    needs them."""

    eager: bool = False
    judged: bool = False
    challenge: bool = True


class State(enum.Enum):
    """The state of a tracked face. REPORTED means reported as recognized, or as an attack.

    UNDECIDED -> HELD: the votes name a person, but the profile's proof is still missing.
    UNDECIDED, HELD, REPORTED_HELD -> REPORTED: they name a person, with the proof.
    HELD -> REPORTED_HELD: a picture held to the camera was reported; once per track.
    REPORTED -> REPORTED_HELD: they name a person again, but the proof has lapsed.
    HELD -> UNDECIDED, REPORTED_HELD -> REPORTED: they name nobody now, or the gallery has changed.
    any -> UNDECIDED: another person has taken the same place.
    """

    UNDECIDED = enum.auto()
    HELD = enum.auto()
    REPORTED = enum.auto()
    REPORTED_HELD = enum.auto()


@dataclass(frozen=True)
class Station:
    """What all tracked faces of one watch share."""

    people: People
    profile: Profile
    rules: Rules
    tools: ProofTools
    challenger: Challenger
    cooldown: Cooldown


@dataclass
class _Best:
    """The best picture so far, which goes with the events."""

    face: Face
    quality: float
    picture: Picture


class TrackedFace:
    """The state and rules of one track. One thread at a time."""

    def __init__(self, track: Track, station: Station) -> None:
        self.track, self.number = track, track.number
        self.ballot, self.proof = Ballot(station.rules), Proof(station.tools)
        self.state = State.UNDECIDED
        self.recognized: str | None = None  # as whom, with the proof; None once that may be wrong
        self._station = station
        self._held: Verdict | None = None  # only in the states HELD and REPORTED_HELD
        self._tries = 0  # challenges begun
        self._prompts, self._prompted = 0, -1e9  # how many, and when the last one was
        self._best: _Best | None = None  # from the first observation on
        self._quality: Quality | None = None  # of the newest frame

    def step(self, frame: Frame, source: str, result: FrameResult, asked: Asked) -> None:
        """Process one frame in which the face was found."""
        judged = self._station.profile.judged or asked.judged
        if self.proof.begun or (asked.eager and judged):
            liveness = self.proof.sample(self.track, frame, result)
            if liveness is not None:
                self.ballot.drop(liveness.since)
        now = frame.time
        self._quality = self._station.people.pipeline.assess(frame.picture, self.track.face)
        quality = self._quality.score
        pays = self.ballot.pays(quality, now, held=self._held is not None and self._ready())
        if not (pays or asked.eager or self._station.challenger.due(self.number, now)):
            return
        seen = self._observe(frame)
        seen = self._with_liveness(seen, frame, result) if judged else self._together(seen)
        result.observations.append(seen)
        if self._best is None or quality >= self._best.quality:
            self._best = _Best(self.track.face, quality, seen.picture)
        # An eager observation votes only when it pays.
        if pays or self.ballot.pays(quality, now):
            upright = None if seen.encoded.unfit else seen.encoded.embedding
            verdict = self.ballot.vote(seen.decision, quality, now, upright)
            if verdict is not None:
                self._decide(verdict, seen, source, result)

    def step_still(self, frame: Frame, source: str, result: FrameResult) -> None:
        """Judge a single picture by its one observation."""
        seen = self._observe(frame)
        result.observations.append(seen)
        self._best = _Best(self.track.face, seen.encoded.quality.score, seen.picture)
        verdict = Verdict(seen.decision.name, seen.decision.score, seen.decision.threshold)
        if verdict.name is None or not self._station.profile.judged:
            self._report(verdict, source, result)
        else:
            self._refuse(verdict, source, result, _ONE_PICTURE)

    def offer_challenge(self, result: FrameResult) -> None:
        """Challenge the person if only the proof is missing and nothing speaks for an attack."""
        liveness = self.proof.verdict
        if self._held is None or liveness is None or liveness.liveness is Liveness.SPOOF:
            return
        if self._tries < MOST_TRIES and self._station.challenger.offer(self.number, result):
            self._tries += 1
            self.ballot.drop(result.time)  # earlier votes do not count

    def report_attack(self, source: str, result: FrameResult) -> None:
        """Report a picture held to the camera, once per track."""
        if self.state is not State.HELD or self._held is None:
            return
        if self.proof.spoof_for(result.time) >= _SURELY_SPOOF:
            self.state = State.REPORTED_HELD
            self._refuse(self._held, source, result)

    def ask_to_turn(self, source: str, result: FrameResult) -> None:
        """Ask a person who resembles an enrolled one, and has held too still to be found alive, to
        turn the head. A challenge has prompts of its own."""
        liveness = self.proof.verdict
        if self.state is not State.HELD or self._station.profile.challenged or liveness is None:
            return
        waited = min(
            result.time - liveness.since - _PROMPT_AFTER,
            result.time - self._prompted - _PROMPT_EVERY,
        )
        if (
            liveness.liveness is Liveness.UNDETERMINED
            and waited >= 0
            and self._prompts < _MOST_PROMPTS
        ):
            self._prompts, self._prompted = self._prompts + 1, result.time
            result.events.append((prompt_event(source, self.number, _TURN, liveness), None))

    def end(self, now: float, source: str, result: FrameResult) -> None:
        """The face has left: report what has not been reported yet."""
        verdict = self.ballot.at_leaving()
        if verdict is not None and not self._station.cooldown.holds(self.number, now):
            self._report(verdict, source, result)
        elif self._held is not None and self.state is State.HELD:
            self._refuse(self._held, source, result)
        self._station.challenger.drop(self.number)

    @property
    def shown(self) -> ShownFace:
        """The face as viewers see it."""
        return ShownFace(
            self.number,
            self.track.face.box,
            self.recognized,
            account(self.proof.verdict)["liveness"],
            self._why_nobody(),
        )

    def _why_nobody(self) -> str | None:
        """Why the face is not recognized as anybody now; None where it is."""
        if self.recognized is not None:
            return None
        if self.track.detections < LEAST_DETECTIONS or self._quality is None:
            return "it has just come into view"
        if self._held is not None:
            return self._why_held()
        stranger = self._station.people.problem or "it looks like nobody who is enrolled"
        undecided = stranger if self.ballot.decided else "it must be seen a few more times"
        return "; ".join(self._quality.reasons) or undecided

    def _why_held(self) -> str:
        """Which proof is missing of a face that looks like somebody."""
        liveness = self.proof.verdict
        if liveness is None:
            return "it is not in view long enough"
        if liveness.liveness is not Liveness.LIVE:
            return liveness.reason
        return "it has passed no challenge" if self._station.profile.challenged else "wait a moment"

    def gallery_changed(self) -> None:
        """Judge the face from the beginning; its proof of life remains."""
        self.ballot.clear()
        self.recognized = None
        self._release()

    def _observe(self, frame: Frame) -> Observation:
        people, face = self._station.people, self.track.face
        encoded = people.pipeline.encode(frame.picture, face)
        decision = people.recognize(encoded)
        picture = _cut_out(frame.picture, face)
        return Observation(self.number, encoded, decision, picture, frame.time)

    def _together(self, seen: Observation) -> Observation:
        """The observation, decided by the track's latest ones together where alone it names
        nobody."""
        face = seen.encoded
        if seen.decision.name is not None or face.unfit:
            return seen
        mean = self.ballot.together(face.embedding, face.quality.score)
        if mean is None:
            return seen
        decision = self._station.people.recognize_together(face, mean)
        return seen if decision.name is None else replace(seen, decision=decision)

    def _with_liveness(self, seen: Observation, frame: Frame, result: FrameResult) -> Observation:
        """The observation with the face's liveness, which is judged from here on if the face
        resembles anybody's."""
        embedding = seen.encoded.embedding
        if not self.proof.same(embedding, frame.time):
            self.ballot.drop(frame.time)
            self._held, self.state, self.recognized = None, State.UNDECIDED, None
        seen = self._together(seen)
        if seen.decision.name is not None:
            self.proof.sample(self.track, frame, result)
            self.proof.same(embedding, frame.time)  # with this one the judging may have begun
        return replace(seen, liveness=self.proof.verdict)

    def _decide(
        self, verdict: Verdict, seen: Observation, source: str, result: FrameResult
    ) -> None:
        """Report an agreed verdict, or hold it back until the face is shown to be alive."""
        challenger = self._station.challenger
        if verdict.name != self.recognized:
            self.recognized = None
        if verdict.name is None:
            self._release()
        elif not may_pass(self._station.profile, seen.liveness, challenger.status_for(seen)):
            self._hold(verdict)
            return
        else:
            self._held, self.state, self.recognized = None, State.REPORTED, verdict.name
            # The challenge is used up: the person has to leave the picture before the next one.
            self._tries = MOST_TRIES
            challenger.drop(self.number)
        who = verdict.name if verdict.name is not None else self.number
        if not self._station.cooldown.holds(who, seen.time):
            self._report(verdict, source, result)

    def _hold(self, verdict: Verdict) -> None:
        self._held = verdict
        fresh = self.state in (State.UNDECIDED, State.HELD)
        self.state = State.HELD if fresh else State.REPORTED_HELD

    def _release(self) -> None:
        self._held = None
        fresh = self.state in (State.UNDECIDED, State.HELD)
        self.state = State.UNDECIDED if fresh else State.REPORTED

    def _ready(self) -> bool:
        """Whether a fresh observation could be reported now."""
        profile = self._station.profile
        if not self.proof.live:
            return not profile.judged
        return not profile.challenged or self._station.challenger.passed(self.number)

    def _report(self, verdict: Verdict, source: str, result: FrameResult) -> None:
        """Make an event of a verdict."""
        kind: EventType = "unknown" if verdict.name is None else "recognized"
        self._put(kind, (verdict.name, verdict.score, verdict.threshold), source, result)

    def _refuse(
        self, verdict: Verdict, source: str, result: FrameResult, why: str | None = None
    ) -> None:
        """Report somebody's likeness, which verifies nobody: the event has no name."""
        liveness = self.proof.verdict
        why = why or (liveness.reason if liveness is not None else "not in view long enough")
        message = f"looks like {verdict.name}, but: {why}"
        self._put("not_live", (None, verdict.score, verdict.threshold), source, result, message)

    def _put(
        self,
        kind: EventType,
        named: tuple[str | None, float, float],
        source: str,
        result: FrameResult,
        message: str | None = None,
    ) -> None:
        best = self._best
        assert best is not None  # noqa: S101 (a verdict comes of an observation, which sets it)
        event = face_event(
            kind, source, self.number, best.face, best.quality, named, self.proof.verdict, message
        )
        result.events.append((event, best.picture))


def _cut_out(picture: Picture, face: Face) -> Picture:
    """A copy of the frame around the face, wide enough for the face to be detected in it."""
    square = around(face.box)
    top, left = max(0, square.y), max(0, square.x)
    return picture[top : square.y + square.side, left : square.x + square.side].copy()
