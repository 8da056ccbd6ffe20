"""Attempts: what a person at the running camera asks for, look by look.

Takes in the `Sight`s of the frames that follow, hands on answers: verification, identification and
enrollment. The same agreement of several looks is needed as for an event. It opens no camera.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any, Protocol

from edgeface.config import Recognition
from edgeface.decide import Decision
from edgeface.detect import Face
from edgeface.errors import EdgeFaceError
from edgeface.pictures import Picture
from edgeface.service.judge import GAP
from edgeface.service.people import People
from edgeface.service.watch import Look, Sight

Answer = dict[str, Any]

_TURNED = 0.12  # of the eyes' distance: nose this far off their middle is a turned head
_TURNED_TOO_FAR = 0.45
_STEP = 4.0  # seconds after which a picture in any pose is taken instead
_AWAY = 2.0  # seconds without a look after which a pose gets its time anew
_BETWEEN = 0.4  # seconds between pictures, so that they differ


_MOST_LOOKS = 30  # of an attempt: every further one is another chance to be taken for somebody


class Attempt(Protocol):
    """One request that takes several frames."""

    def see(self, sight: Sight, now: float) -> None:
        """Take in what one frame showed; `now` is the loop's monotonic clock."""
        ...

    def progress(self, now: float) -> Answer | None:
        """What to tell the person meanwhile, if there is something new."""
        ...

    def answer(self, now: float) -> Answer | None:
        """The answer, once there is one; `now` is the loop's monotonic clock."""
        ...


class _Counted:
    """Chooses the looks of an attempt that count: good, not nearly the same, and not too many."""

    def __init__(self, least_quality: float) -> None:
        self._least_quality = least_quality
        self._left = _MOST_LOOKS
        self._times: dict[int, float] = {}

    @property
    def spent(self) -> bool:
        """Whether no look counts any more."""
        return self._left == 0

    def of(self, sight: Sight) -> Iterator[Look]:
        """Those of this frame, which count from now on."""
        for look in sight.looks:
            before = self._times.get(look.track)
            near = before is not None and look.time - before < GAP
            if self.spent or near or look.subject.quality.score < self._least_quality:
                continue
            self._left -= 1
            self._times[look.track] = look.time
            yield look


class Verification:
    """Is the person in view `name`?"""

    def __init__(self, people: People, rules: Recognition, name: str, until: float) -> None:
        people.require(name)
        self._people, self._rules, self._name, self._until = people, rules, name, until
        self._looks: dict[int, deque[Decision]] = defaultdict(lambda: deque(maxlen=rules.of))
        self._counted = _Counted(rules.least_quality)
        self._best: Decision | None = None

    def see(self, sight: Sight, now: float) -> None:
        for look in self._counted.of(sight):
            decision = self._people.compare(self._name, look.subject)
            self._looks[look.track].append(decision)
            if self._best is None or decision.score > self._best.score:
                self._best = decision

    @property
    def seen(self) -> bool:
        """Whether a face was compared."""
        return self._best is not None

    def progress(self, now: float) -> Answer | None:
        return None

    def answer(self, now: float) -> Answer | None:
        for looks in self._looks.values():
            passed = [look for look in looks if look.match]
            if len(passed) >= self._rules.agree:
                return self._answer(max(passed, key=lambda look: look.score), True)
        over = now >= self._until or self._counted.spent
        return self._answer(self._best, False) if over else None

    def _answer(self, best: Decision | None, match: bool) -> Answer:
        return {
            "match": match,
            "name": self._name,
            "score": best.score if best else None,
            "threshold": best.threshold if best else None,
            "seen": self.seen,
        }


class Identification:
    """Who is in view?"""

    def __init__(self, rules: Recognition, until: float) -> None:
        self._rules, self._until = rules, until
        self._counted = _Counted(rules.least_quality)
        self._looks: dict[int, deque[Look]] = defaultdict(lambda: deque(maxlen=rules.of))

    def see(self, sight: Sight, now: float) -> None:
        for look in self._counted.of(sight):
            self._looks[look.track].append(look)

    def progress(self, now: float) -> Answer | None:
        return None

    def answer(self, now: float) -> Answer | None:
        faces = [self._face(list(looks)) for looks in self._looks.values()]
        over = now >= self._until or self._counted.spent
        if over or (faces and all(face["name"] for face in faces)):
            return {"faces": faces}
        return None

    def _face(self, looks: list[Look]) -> Answer:
        best = max(looks, key=lambda look: look.decision.score)
        name = best.decision.name
        if sum(look.decision.name == name for look in looks) < self._rules.agree:
            name = None
        return {
            "box": [round(edge, 1) for edge in looks[-1].subject.face.box],
            "name": name,
            "score": best.decision.score,
            "threshold": best.decision.threshold,
        }


class Enrollment:
    """Collect good pictures of the one person in view, in several poses."""

    POSES = (
        "look straight at the camera",
        "turn left a little",
        "turn right a little",
        "look straight at the camera again",
        "come a little closer",
    )

    def __init__(self, people: People, name: str, until: float) -> None:
        self._people, self._name, self._until = people, name, until
        self._pictures: list[Picture] = []
        self._track: int | None = None
        self._pose = 0
        self._pose_since: float | None = None
        self._seen = -_AWAY
        self._taken = -_BETWEEN
        self._hint = "come before the camera"
        self._told: Answer | None = None

    def see(self, sight: Sight, now: float) -> None:
        if sight.faces > 1 or len(sight.looks) > 1:
            self._hint, self._pose_since = "only one person may be in view", None
            return
        for look in sight.looks:
            self._follow(look, now)
            if self._pose < len(self.POSES):
                self._consider(look, now)

    def _follow(self, look: Look, now: float) -> None:
        """All pictures are of one track: another one may be somebody else, who begins anew."""
        if look.track != self._track:
            self._track, self._pose, self._pose_since = look.track, 0, None
            self._taken = -_BETWEEN
            self._pictures.clear()
        if now - self._seen >= _AWAY or self._pose_since is None:
            self._pose_since = now
        self._seen = now

    def _consider(self, look: Look, now: float) -> None:
        """Take the picture if it is good and in the pose asked for, or in any after a while."""
        late = self._pose_since is not None and now - self._pose_since > _STEP
        reasons = look.subject.quality.reasons
        if reasons:
            self._hint = "; ".join(reasons)
            if late:
                self._next_pose()
            return
        self._hint = self.POSES[self._pose]
        if (late or _fits(self._pose, look.subject.face)) and look.time - self._taken >= _BETWEEN:
            self._taken = look.time
            self._pictures.append(look.picture)
            self._next_pose()

    def _next_pose(self) -> None:
        self._pose, self._pose_since = self._pose + 1, None
        if self._pose < len(self.POSES):
            self._hint = self.POSES[self._pose]

    def progress(self, now: float) -> Answer | None:
        state = {"message": self._hint, "good": len(self._pictures), "wanted": len(self.POSES)}
        if state == self._told:
            return None
        self._told = state
        return {"progress": state}

    def answer(self, now: float) -> Answer | None:
        if self._pose < len(self.POSES) and now < self._until:
            return None
        if not self._pictures:
            return {"error": f"{self._name} was not enrolled, no good picture: {self._hint}"}
        try:
            done = self._people.enroll(self._name, self._pictures)
        except EdgeFaceError as error:
            return {"error": str(error)}
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
