"""Attempts: what a person at the running camera asks for, frame by frame.

Takes in the `FrameResult`s of the frames that follow, hands on answers: verification,
identification and enrollment. The same agreement of several observations is needed as for an event.
It opens no camera.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any, Protocol

from edgeface.decide import Decision
from edgeface.liveness import Liveness, LivenessVerdict, Profile, State, account, may_pass
from edgeface.pipeline.detect import Face
from edgeface.pipeline.pictures import Picture
from edgeface.service.ballot import GAP
from edgeface.service.config import RecognitionSettings
from edgeface.service.frame_result import FrameResult, Observation
from edgeface.service.people import People
from edgeface.service.session import Session

Answer = dict[str, Any]

_TURNED = 0.12  # of the eyes' distance: nose this far off their middle is a turned head
_TURNED_TOO_FAR = 0.45
_STEP = 4.0  # seconds after which a picture in any pose is taken instead
_AWAY = 2.0  # seconds without an observation after which a pose gets its full time again
_BETWEEN = 0.4  # seconds between pictures, so that they differ
_MOST_OBSERVATIONS = 30  # of an attempt: each is another chance to be taken for somebody
_HINT_AFTER = 1.5  # seconds after which the person learns why nothing happens


class Attempt(Protocol):
    """One request that takes several frames; `profile` is what it asks of a face."""

    profile: Profile

    @property
    def claimed(self) -> str | None:
        """The name that is to be verified; None where nobody claims one."""
        ...

    @property
    def seen(self) -> bool:
        """Whether a face was compared."""
        ...

    def see(self, result: FrameResult, now: float) -> None:
        """Take in what one frame showed; `now` is the loop's monotonic clock."""
        ...

    def progress(self, now: float) -> Answer | None:
        """What the person should know meanwhile, if there is something new."""
        ...

    def answer(self, now: float) -> Answer | None:
        """The answer, once there is one; `now` is the loop's monotonic clock. Raises EdgeFaceError
        where the request cannot be carried out."""
        ...

    def accepted(self, answer: Answer) -> list[str]:
        """The names of the people whom an answer accepts."""
        ...


class _Proven:
    """Chooses the observations of an attempt that count: good, not nearly the same, not too many,
    and of a face that was shown to be alive, as far as the profile asks for that."""

    def __init__(self, people: People, rules: RecognitionSettings, profile: Profile) -> None:
        self._rules, self._profile = rules, profile
        self._session = Session(people.likeness) if profile.challenged else None
        self._left = _MOST_OBSERVATIONS
        self._times: dict[int, float] = {}
        self._last_message: str | None = None
        self._begun: float | None = None
        self._latest: dict[int, LivenessVerdict | None] = {}

    @property
    def over(self) -> bool:
        """Whether no observation can count any more."""
        failed = self._session is not None and self._session.status.state is State.FAILED
        return self._left == 0 or failed

    def of(self, result: FrameResult) -> Iterator[tuple[Observation, bool]]:
        """Observations of this frame that can be compared, and whether each may count."""
        if self._session is not None:
            self._session.see(result)
        for seen in result.observations:
            before = self._times.get(seen.track)
            near = before is not None and seen.time - before < GAP
            if self._left == 0 or near or seen.encoded.quality.score < self._rules.least_quality:
                continue
            self._times[seen.track] = seen.time
            self._latest[seen.track] = seen.liveness
            challenge = self._session.status_for(seen) if self._session else None
            counts = may_pass(self._profile, seen.liveness, challenge)
            self._left -= counts
            yield seen, counts

    def account(self, track: int | None) -> Answer:
        """What an answer says about the liveness of a track, by its newest observation."""
        liveness = self._latest.get(track) if track is not None else None
        answer = account(liveness)
        if self._profile.judged and liveness is None:
            answer["liveness"] = Liveness.UNDETERMINED.value
        if self._session is not None:
            status = self._session.status
            answer["challenge"] = {
                "state": status.state.value,
                "prompt": self._session.prompt,
                "step": status.step,
                "of": status.of,
            }
        return answer

    def progress(self, now: float) -> Answer | None:
        """What the person at the camera should do, if that is new."""
        message = None
        if self._session is not None:
            message = self._session.prompt
        elif self._profile.judged and self._latest:
            self._begun = now if self._begun is None else self._begun
            newest = list(self._latest.values())[-1]
            dead = newest is not None and newest.liveness is not Liveness.LIVE
            if newest is not None and dead and now - self._begun >= _HINT_AFTER:
                message = newest.reason
        if message is None or message == self._last_message:
            return None
        self._last_message = message
        return {"progress": {"message": message}}


class LiveVerification:
    """Is the person in view `name`?"""

    def __init__(
        self, people: People, rules: RecognitionSettings, profile: Profile, name: str, until: float
    ) -> None:
        people.require(name)
        self.profile, self.claimed = profile, name
        self._people, self._rules, self._until = people, rules, until
        self._votes: dict[int, deque[tuple[Observation, Decision]]] = defaultdict(
            lambda: deque(maxlen=rules.of)
        )
        self._proven = _Proven(people, rules, profile)
        self._best: tuple[Observation, Decision] | None = None

    def see(self, result: FrameResult, now: float) -> None:
        for seen, counts in self._proven.of(result):
            decision = self._people.compare(self.claimed, seen.encoded)
            if counts:
                _add(self._votes[seen.track], (seen, decision))
            if self._best is None or decision.score > self._best[1].score:
                self._best = seen, decision

    @property
    def seen(self) -> bool:
        return self._best is not None

    def accepted(self, answer: Answer) -> list[str]:
        return [self.claimed] if answer.get("match") else []

    def progress(self, now: float) -> Answer | None:
        return self._proven.progress(now)

    def answer(self, now: float) -> Answer | None:
        for votes in self._votes.values():
            passed = [vote for vote in votes if vote[1].match]
            if len(passed) >= self._rules.agree:
                return self._answer(max(passed, key=lambda vote: vote[1].score), True)
        over = now >= self._until or self._proven.over
        return self._answer(self._best, False) if over else None

    def _answer(self, best: tuple[Observation, Decision] | None, match: bool) -> Answer:
        seen, decision = best or (None, None)
        return {
            "match": match,
            "name": self.claimed,
            "score": None if decision is None else decision.score,
            "threshold": None if decision is None else decision.threshold,
            "seen": self.seen,
            **self._proven.account(seen.track if seen else None),
        }


class LiveIdentification:
    """Who is in view?"""

    claimed = None

    def __init__(
        self, people: People, rules: RecognitionSettings, profile: Profile, until: float
    ) -> None:
        self.profile = profile
        self._rules, self._until = rules, until
        self._proven = _Proven(people, rules, profile)
        self._seen: dict[int, deque[Observation]] = defaultdict(lambda: deque(maxlen=rules.of))
        self._votes: dict[int, deque[tuple[Observation, Decision]]] = defaultdict(
            lambda: deque(maxlen=rules.of)
        )

    def see(self, result: FrameResult, now: float) -> None:
        for seen, counts in self._proven.of(result):
            self._seen[seen.track].append(seen)
            if counts:
                _add(self._votes[seen.track], (seen, seen.decision))

    def progress(self, now: float) -> Answer | None:
        return self._proven.progress(now)

    def answer(self, now: float) -> Answer | None:
        faces = [self._face(track) for track in self._seen]
        over = now >= self._until or self._proven.over
        if over or (faces and all(face["name"] for face in faces)):
            return {"faces": faces}
        return None

    @property
    def seen(self) -> bool:
        return bool(self._seen)

    def accepted(self, answer: Answer) -> list[str]:
        return [face["name"] for face in answer.get("faces", ()) if face["name"] is not None]

    def _face(self, track: int) -> Answer:
        seen_here, votes = self._seen[track], self._votes[track]
        best = max(votes or [(seen, seen.decision) for seen in seen_here], key=lambda v: v[1].score)
        decision = best[1]
        agree = sum(vote.name == decision.name for _, vote in votes)
        return {
            "box": [round(edge, 1) for edge in seen_here[-1].encoded.face.box],
            "name": decision.name if agree >= self._rules.agree else None,
            "score": decision.score,
            "threshold": decision.threshold,
            **self._proven.account(track),
        }


def _add(votes: deque[tuple[Observation, Decision]], vote: tuple[Observation, Decision]) -> None:
    """Add a vote; those from before it was surely the same thing in view go."""
    since = vote[0].liveness.since if vote[0].liveness else vote[0].time
    while votes and vote[0].liveness and votes[0][0].time < since:
        votes.popleft()
    votes.append(vote)


class LiveEnrollment:
    """Collect good pictures of the one person in view, in several poses."""

    POSES = (
        "look straight at the camera",
        "turn left a little",
        "turn right a little",
        "look straight at the camera again",
        "come a little closer",
    )

    claimed = None

    def __init__(self, people: People, profile: Profile, name: str, until: float) -> None:
        self.profile, self.name = profile, name
        self._people, self._until = people, until
        self._pictures: list[Picture] = []
        self._track: int | None = None
        self._pose = 0
        self._pose_since: float | None = None
        self._seen_at = -_AWAY
        self._taken = -_BETWEEN
        self._hint = "come before the camera"
        self._last_progress: Answer | None = None

    def see(self, result: FrameResult, now: float) -> None:
        if result.faces > 1 or len(result.observations) > 1:
            self._hint, self._pose_since = "only one person may be in view", None
            return
        for seen in result.observations:
            self._follow(seen, now)
            if seen.liveness is not None and seen.liveness.liveness is Liveness.SPOOF:
                self._start_again()
                self._hint = f"only a living person can be enrolled: this {seen.liveness.reason}"
            elif self._pose < len(self.POSES):
                self._consider(seen, now)

    def _follow(self, seen: Observation, now: float) -> None:
        """All pictures are of one track: another one may be somebody else, who starts over."""
        if seen.track != self._track:
            self._track = seen.track
            self._start_again()
        if now - self._seen_at >= _AWAY or self._pose_since is None:
            self._pose_since = now
        self._seen_at = now

    def _start_again(self) -> None:
        self._pose, self._pose_since, self._taken = 0, None, -_BETWEEN
        self._pictures.clear()

    def _consider(self, seen: Observation, now: float) -> None:
        """Take the picture if it is good and in the pose asked for, or in any after a while."""
        late = self._pose_since is not None and now - self._pose_since > _STEP
        reasons = seen.encoded.quality.reasons
        if reasons:
            self._hint = "; ".join(reasons)
            if late:
                self._next_pose()
            return
        self._hint = self.POSES[self._pose]
        if (late or _fits(self._pose, seen.encoded.face)) and seen.time - self._taken >= _BETWEEN:
            self._taken = seen.time
            self._pictures.append(seen.picture)
            self._next_pose()

    def _next_pose(self) -> None:
        self._pose, self._pose_since = self._pose + 1, None
        if self._pose < len(self.POSES):
            self._hint = self.POSES[self._pose]

    @property
    def seen(self) -> bool:
        return self._track is not None

    def accepted(self, answer: Answer) -> list[str]:
        return []

    def progress(self, now: float) -> Answer | None:
        state = {"message": self._hint, "good": len(self._pictures), "wanted": len(self.POSES)}
        if state == self._last_progress:
            return None
        self._last_progress = state
        return {"progress": state}

    def answer(self, now: float) -> Answer | None:
        if self._pose < len(self.POSES) and now < self._until:
            return None
        if not self._pictures:
            return {"error": f"{self.name} was not enrolled, no good picture: {self._hint}"}
        done = self._people.enroll(self.name, self._pictures)
        rejected = [{"image": f"live {r.position + 1}", "reason": r.reason} for r in done.rejected]
        return {
            "name": done.name,
            "templates": done.templates,
            "added": done.added,
            "rejected": rejected,
            "warnings": list(done.warnings),
        }


def _fits(pose: int, face: Face) -> bool:
    """Whether the head is turned as the pose asks; left is the person's own."""
    right, left, nose = face.right_eye, face.left_eye, face.nose
    along = (left.x - right.x, left.y - right.y)
    square = along[0] ** 2 + along[1] ** 2
    middle = ((left.x + right.x) / 2, (left.y + right.y) / 2)
    turn = ((nose.x - middle[0]) * along[0] + (nose.y - middle[1]) * along[1]) / square
    if pose == 1:
        return _TURNED < turn < _TURNED_TOO_FAR
    if pose == 2:
        return _TURNED < -turn < _TURNED_TOO_FAR
    return abs(turn) < _TURNED
