"""Verdicts need the agreement of several looks, and looks are taken when they pay."""

from __future__ import annotations

from edgeface.decide import Decision
from edgeface.service.judge import Judge, Rules, Verdict

RULES = Rules(agree=3, of=5)


def vote(judge: Judge, name: str | None, now: float, score: float = 0.7) -> Verdict | None:
    return judge.vote(1, Decision(name, score, 0.5, name is not None), 0.5, now)


def test_one_lucky_look_is_not_enough() -> None:
    judge = Judge(RULES)
    answers = [vote(judge, name, i / 10) for i, name in enumerate(["ada", None, None, None, None])]
    assert answers == [None] * 5


def test_three_of_five_are() -> None:
    judge = Judge(RULES)
    answers = [vote(judge, name, i / 10) for i, name in enumerate(["ada", None, "ada", "ada"])]
    assert answers[:3] == [None] * 3
    assert answers[3] == Verdict("ada", 0.7, 0.5)


def test_a_stranger_is_somebody_whom_no_look_took_for_anyone() -> None:
    judge = Judge(RULES)
    answers = [vote(judge, None, i / 10, 0.1) for i in range(5)]
    assert answers == [None] * 4 + [Verdict(None, 0.1, 0.5)]


def test_a_stranger_who_leaves_early_is_told_when_leaving() -> None:
    judge = Judge(RULES)
    vote(judge, None, 0.0, 0.1)
    assert judge.close(1) == Verdict(None, 0.1, 0.5)


def test_whoever_was_told_or_nearly_recognized_is_no_stranger_when_leaving() -> None:
    judge = Judge(RULES)
    vote(judge, "ada", 0.0)
    assert judge.close(1) is None
    for i in range(5):
        vote(judge, None, i / 10)
    assert judge.close(1) is None
    assert judge.close(1) is None


def test_other_tracks_do_not_count() -> None:
    judge = Judge(RULES)
    yes = Decision("ada", 0.7, 0.5, True)
    assert all(judge.vote(track, yes, 0.5, 0.0) is None for track in (1, 1, 2, 2, 3))


def test_looks_that_tell_nothing_new_are_not_taken() -> None:
    judge = Judge(RULES)
    assert not judge.pays(1, 0.05, 0.0)  # too poor to be judged
    assert judge.pays(1, 0.5, 0.0)
    vote(judge, "ada", 0.0)
    assert not judge.pays(1, 0.5, 0.05)  # almost the same picture
    assert judge.pays(1, 0.5, 0.2)
    assert not judge.pays(1, 0.2, 0.2)  # much worse than before
    assert judge.pays(1, 0.2, 0.6)  # but nothing better came
    vote(judge, "ada", 0.2)
    vote(judge, "ada", 0.3)
    assert not judge.pays(1, 0.9, 2.0)  # settled
    assert judge.pays(1, 0.5, 3.4)  # time to look again
