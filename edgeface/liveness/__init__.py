"""Liveness: whether a face before the camera is a living person's (presentation attack detection).

Takes in tracked faces, hands on verdicts; a match opens a door only where `may_pass` says so.
docs/liveness.md lists the attacks that still get through.
"""

from __future__ import annotations

from edgeface.liveness.challenge import Challenge, Likeness, State, Status
from edgeface.liveness.cues import CueScores
from edgeface.liveness.judge import (
    Liveness,
    LivenessJudge,
    LivenessVerdict,
    Profile,
    account,
)
from edgeface.liveness.sample import Sample, Sampler

__all__ = [
    "Challenge",
    "CueScores",
    "Likeness",
    "Liveness",
    "LivenessJudge",
    "LivenessVerdict",
    "Profile",
    "Sample",
    "Sampler",
    "State",
    "Status",
    "account",
    "may_pass",
]


def may_pass(
    profile: Profile, verdict: LivenessVerdict | None, challenge: Status | None = None
) -> bool:
    """Whether liveness lets a match count; a missing verdict or challenge does not."""
    if not profile.judged:
        return True
    if verdict is None or verdict.liveness is not Liveness.LIVE:
        return False
    return not profile.challenged or (challenge is not None and challenge.state is State.PASSED)
