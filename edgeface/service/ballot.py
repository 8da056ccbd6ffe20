"""Ballot: who a tracked face is, by the agreement of several observations.

Takes in the qualities and decisions of single frames, hands on a `Verdict` when enough of the last
ones agree. It keeps their embeddings, no longer than they count, so that a face is also judged by
what its observations show together. It decides when another encoding is worth its time and keeps no
picture.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from edgeface.decide import Decision
from edgeface.pipeline.encode import Embedding

GAP = 0.1  # seconds between observations: sooner, one adds nothing to the one before
_WORSE = 0.7  # of the best quality so far: below it the face waits for a better frame
_WAIT = 0.5  # seconds after which a worse frame is taken anyway, and a stranger's next one
_BETTER = 1.15  # times the best quality so far: a stranger is encoded again at once
_LEAST_WEIGHT = 1e-3  # of an observation whose quality is 0


@dataclass(frozen=True)
class Rules:
    """agree: how many of the last `of` observations must name the same person; least_quality: 0 to
    1, below it a face is not judged; recheck: seconds between observations of a recognized
    person."""

    agree: int = 3
    of: int = 5
    least_quality: float = 0.1
    recheck: float = 3.0


@dataclass(frozen=True)
class Verdict:
    """`name` is None for a stranger; score and threshold are those of the best agreeing vote."""

    name: str | None
    score: float
    threshold: float


@dataclass(frozen=True)
class _Vote:
    """One observation; without an embedding where that shows no upright face."""

    time: float
    decision: Decision
    quality: float
    embedding: Embedding | None


class Ballot:
    """The votes of one tracked face."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._votes: deque[_Vote] = deque(maxlen=rules.of)
        self.clear()

    def clear(self) -> None:
        """Start over: the gallery has changed."""
        self._votes.clear()
        self._best_quality, self._last = 0.0, -1e9
        self._verdict: Verdict | None = None
        self._agreed = False  # at least once: then `at_leaving` has nothing to add

    def pays(self, quality: float, now: float, *, held: bool = False) -> bool:
        """Whether encoding this frame's face would add anything; with `held` a verdict is waiting
        for a fresh observation to be reported."""
        if quality < self._rules.least_quality:
            return False
        since = now - self._last
        if since < GAP:
            return False
        if self._verdict is None or held:
            return quality >= _WORSE * self._best_quality or since >= _WAIT
        if self._verdict.name is None:
            return quality >= _BETTER * self._best_quality or since >= _WAIT
        return since >= self._rules.recheck

    def waited(self, now: float) -> float:
        """Seconds since the last vote."""
        return now - self._last

    def together(self, embedding: Embedding, quality: float) -> Embedding | None:
        """The mean of the votes' embeddings and this one, weighted by quality, of unit length.

        None where there are no others, and where the votes name two people.
        """
        if len({vote.decision.name for vote in self._votes} - {None}) > 1:
            return None
        latest = list(self._votes)[1 - self._rules.of :] if self._rules.of > 1 else []
        rows = [(vote.embedding, vote.quality) for vote in latest if vote.embedding is not None]
        if not rows:
            return None
        total = np.zeros_like(embedding)
        for row, weight in [*rows, (embedding, quality)]:
            total += row * np.float32(max(weight, _LEAST_WEIGHT))
        length = float(np.linalg.norm(total))
        return total / np.float32(length) if length > 0 else None

    def vote(
        self, decision: Decision, quality: float, now: float, embedding: Embedding | None = None
    ) -> Verdict | None:
        """Count one vote; the verdict if this vote agrees with it, None while undecided."""
        self._votes.append(_Vote(now, decision, quality, embedding))
        self._best_quality = max(self._best_quality, quality)
        self._last = now
        self._verdict = _count(self._votes, self._rules)
        if self._verdict is None or self._verdict.name != decision.name:
            return None
        self._agreed = True
        return self._verdict

    def drop(self, before: float) -> None:
        """Drop the votes from before a time, which may have been somebody else's."""
        if not self._votes or self._votes[0].time >= before:
            return
        while self._votes and self._votes[0].time < before:
            self._votes.popleft()
        self._verdict = _count(self._votes, self._rules)

    def at_leaving(self) -> Verdict | None:
        """A stranger's verdict if the face leaves before there were enough votes for one."""
        if not self._votes or self._agreed or any(vote.decision.name for vote in self._votes):
            return None
        best = max((vote.decision for vote in self._votes), key=lambda one: one.score)
        return Verdict(None, best.score, best.threshold)

    @property
    def name(self) -> str | None:
        """The person the face is taken for now, if any."""
        return self._verdict.name if self._verdict else None

    @property
    def decided(self) -> bool:
        """Whether the votes agree, on a person or on a stranger."""
        return self._verdict is not None


def _count(cast: deque[_Vote], rules: Rules) -> Verdict | None:
    votes = [vote.decision for vote in cast]
    counts = Counter(vote.name for vote in votes if vote.name is not None)
    for name, count in counts.most_common(1):
        if count >= rules.agree:
            best = max((v for v in votes if v.name == name), key=lambda vote: vote.score)
            return Verdict(name, best.score, best.threshold)
    if len(votes) < rules.of or counts:
        return None  # a stranger is a face that no vote has taken for anyone
    best = max(votes, key=lambda vote: vote.score)
    return Verdict(None, best.score, best.threshold)
