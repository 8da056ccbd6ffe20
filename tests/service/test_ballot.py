"""Verdicts need the agreement of several observations, made only when they pay."""

from __future__ import annotations

import numpy as np

from edgeface.decide import Decision
from edgeface.service.ballot import Ballot, Rules, Verdict

RULES = Rules(agree=3, of=5)


def vote(ballot: Ballot, name: str | None, now: float, score: float = 0.7) -> Verdict | None:
    return ballot.vote(Decision(name, score, 0.5, name is not None), 0.5, now)


def test_one_lucky_observation_is_not_enough() -> None:
    ballot = Ballot(RULES)
    answers = [vote(ballot, name, i / 10) for i, name in enumerate(["ada", None, None, None, None])]
    assert answers == [None] * 5


def test_three_of_five_are() -> None:
    ballot = Ballot(RULES)
    answers = [vote(ballot, name, i / 10) for i, name in enumerate(["ada", None, "ada", "ada"])]
    assert answers[:3] == [None] * 3
    assert answers[3] == Verdict("ada", 0.7, 0.5)


def test_a_stranger_is_a_face_that_no_observation_took_for_anyone() -> None:
    ballot = Ballot(RULES)
    answers = [vote(ballot, None, i / 10, 0.1) for i in range(5)]
    assert answers == [None] * 4 + [Verdict(None, 0.1, 0.5)]


def test_a_stranger_who_leaves_early_is_reported_when_leaving() -> None:
    ballot = Ballot(RULES)
    vote(ballot, None, 0.0, 0.1)
    assert ballot.at_leaving() == Verdict(None, 0.1, 0.5)


def test_a_reported_or_nearly_recognized_face_is_no_stranger_when_leaving() -> None:
    ballot = Ballot(RULES)
    vote(ballot, "ada", 0.0)
    assert ballot.at_leaving() is None
    for i in range(5):
        vote(ballot, None, i / 10)
    assert ballot.at_leaving() is None
    assert ballot.at_leaving() is None


def test_other_tracks_do_not_count() -> None:
    ballots = {track: Ballot(RULES) for track in (1, 2, 3)}
    yes = Decision("ada", 0.7, 0.5, True)
    assert all(ballots[track].vote(yes, 0.5, 0.0) is None for track in (1, 1, 2, 2, 3))


def test_observations_that_add_nothing_are_not_made() -> None:
    ballot = Ballot(RULES)
    assert not ballot.pays(0.05, 0.0)  # too poor to be ballotd
    assert ballot.pays(0.5, 0.0)
    vote(ballot, "ada", 0.0)
    assert not ballot.pays(0.5, 0.05)  # almost the same picture
    assert ballot.pays(0.5, 0.2)
    assert not ballot.pays(0.2, 0.2)  # much worse than before
    assert ballot.pays(0.2, 0.6)  # but nothing better came
    vote(ballot, "ada", 0.2)
    vote(ballot, "ada", 0.3)
    assert not ballot.pays(0.9, 2.0)  # settled
    assert ballot.pays(0.5, 3.4)  # time to look again


def test_the_embeddings_that_count_give_one_mean_by_their_quality() -> None:
    x, y = np.eye(2, dtype=np.float32)
    ballot = Ballot(RULES)
    nobody = Decision(None, 0.1, 0.5, False)
    assert ballot.together(x, 0.5) is None  # there is no other
    ballot.vote(nobody, 0.4, 0.0, y)
    ballot.vote(nobody, 0.9, 0.1)  # no upright face
    mean = ballot.together(x, 0.3)
    assert mean is not None
    assert np.allclose(mean, (0.6, 0.8))
    ballot.drop(0.05)
    assert ballot.together(x, 0.3) is None
    for name in ("ada", "joe"):
        ballot.vote(Decision(name, 0.7, 0.5, True), 0.4, 0.2, y)
    assert ballot.together(x, 0.3) is None  # of whom would it be the mean?
    ballot.clear()
    assert ballot.together(x, 0.3) is None
