"""Judge: who a track is, by the agreement of several looks.

Takes in the qualities and decisions of single frames, hands on a `Verdict` once enough of the last
ones agree. It decides when another encoding pays and keeps no picture and no embedding.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from edgeface.decide import Decision

GAP = 0.1  # seconds between looks that tell more than the one before
_WORSE = 0.7  # of the best quality so far: below it a look waits for a better frame
_WAIT = 0.5  # seconds after which a worse frame is taken all the same, and strangers looked at
_BETTER = 1.15  # times the best quality so far: a stranger is looked at again at once


@dataclass(frozen=True)
class Rules:
    """agree: how many of the last `of` looks must name the same person; least_quality: 0 to 1,
    below which a face is not judged; recheck: seconds between looks at somebody recognized."""

    agree: int = 3
    of: int = 5
    least_quality: float = 0.1
    recheck: float = 3.0


@dataclass(frozen=True)
class Verdict:
    """`name` is None for a stranger; score and threshold are those of the best agreeing look."""

    name: str | None
    score: float
    threshold: float


@dataclass
class Case:
    """What is known of one track."""

    votes: deque[tuple[float, Decision]]
    best_quality: float = 0.0
    last_look: float = -1e9
    verdict: Verdict | None = None
    told: bool = False


class Judge:
    """The open cases, by track number."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._cases: dict[int, Case] = {}

    def pays(self, track: int, quality: float, now: float, *, owed: bool = False) -> bool:
        """Whether encoding this frame's face would tell more than is known already; `owed` is a
        verdict that waits for a fresh look to be told."""
        if quality < self.rules.least_quality:
            return False
        case = self._case(track)
        since = now - case.last_look
        if since < GAP:
            return False
        if case.verdict is None or owed:
            return quality >= _WORSE * case.best_quality or since >= _WAIT
        if case.verdict.name is None:
            return quality >= _BETTER * case.best_quality or since >= _WAIT
        return since >= self.rules.recheck

    def waited(self, track: int, now: float) -> float:
        """Seconds since the track's last look."""
        return now - self._case(track).last_look

    def vote(self, track: int, decision: Decision, quality: float, now: float) -> Verdict | None:
        """Count one look; the verdict if this look agrees with it, None while undecided."""
        case = self._case(track)
        case.votes.append((now, decision))
        case.best_quality = max(case.best_quality, quality)
        case.last_look = now
        case.verdict = _count(case.votes, self.rules)
        if case.verdict is None or case.verdict.name != decision.name:
            return None
        case.told = True
        return case.verdict

    def drop(self, track: int, before: float) -> None:
        """Let looks from before a time not count: it may have been somebody else."""
        case = self._cases.get(track)
        if case is None or not case.votes or case.votes[0][0] >= before:
            return
        kept = [(when, vote) for when, vote in case.votes if when >= before]
        case.votes.clear()
        case.votes.extend(kept)
        case.verdict = _count(case.votes, self.rules)

    def close(self, track: int) -> Verdict | None:
        """Forget a track; a stranger's verdict if it left before there were looks enough."""
        case = self._cases.pop(track, None)
        if case is None or not case.votes or case.told or any(v.name for _, v in case.votes):
            return None
        best = max((vote for _, vote in case.votes), key=lambda vote: vote.score)
        return Verdict(None, best.score, best.threshold)

    def name_of(self, track: int) -> str | None:
        """Whom the track is taken for now."""
        verdict = self._case(track).verdict
        return verdict.name if verdict else None

    def forget(self) -> None:
        """Begin every case anew: the gallery or the rules have changed."""
        self._cases.clear()

    def _case(self, track: int) -> Case:
        return self._cases.setdefault(track, Case(deque(maxlen=self.rules.of)))


def _count(dated: deque[tuple[float, Decision]], rules: Rules) -> Verdict | None:
    votes = [vote for _, vote in dated]
    counts = Counter(vote.name for vote in votes if vote.name is not None)
    for name, count in counts.most_common(1):
        if count >= rules.agree:
            best = max((v for v in votes if v.name == name), key=lambda vote: vote.score)
            return Verdict(name, best.score, best.threshold)
    if len(votes) < rules.of or counts:
        return None  # a stranger is somebody whom no look has taken for anyone
    best = max(votes, key=lambda vote: vote.score)
    return Verdict(None, best.score, best.threshold)
