"""Protocol: error rates on sources and attack families that had no part in choosing what is needed.

Takes in the cache that record.py made, prints APCER by family and BPCER by source (ISO/IEC
30107-3) with 95 % intervals (Wilson 1927). What is needed of depth, jaw and eyes is chosen once for
each row, without the source or the family of that row: so no figure is on what was used to choose,
and `held_out` refuses to give one that is. The shipped values are the choice on everything.

    python benchmarks/attacks/protocol.py CACHE [--json FILE] [--shipped]

An attack passed if the face was `live` at any time in three seconds; a living person was missed if
it was not by three (or five) seconds, judged from the first frame of a window on. Windows begin
every second. `--shipped` prints the rates of the shipped values instead, which are not left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.attacks.kinds import KINDS
from benchmarks.attacks.record import CONDITIONS, load
from edgeface.liveness.cues import NEEDED, CueScores, Needed, alive
from edgeface.liveness.judge import Liveness, LivenessJudge
from edgeface.liveness.sample import Sample
from edgeface.liveness.surface import GRID_NEEDED

SOON, LATE = 3.0, 5.0  # seconds
_SHARE = 0.01  # of the attacks made of stills that may pass where values are chosen
CHOICES = [
    Needed(depth, jaw, eyes)
    for depth, jaw, eyes in itertools.product(
        (2.4, 2.7, 3.0, 3.3, 3.7, 4.2), (3.5, 4.2, 5.0, 6.0), (0.3, 0.4, 0.5)
    )
]


@dataclass(frozen=True)
class Trial:
    """A window of a clip, or an attack. group: its source or family; moments: the time of each
    sample since the first, its scores, and whether the verdict was `spoof`."""

    group: str
    name: str
    moments: tuple[tuple[float, CueScores, bool], ...]
    _known: dict[tuple[Needed, float], float | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    def live_at(self, needed: Needed, until: float) -> float | None:
        """When the face was first `live`; None if it was not."""
        if (needed, until) not in self._known:
            self._known[needed, until] = self._live_at(needed, until)
        return self._known[needed, until]

    def _live_at(self, needed: Needed, until: float) -> float | None:
        for time, scores, _ in self.moments:
            if time < until and scores.grid < GRID_NEEDED and alive(scores, needed):
                return time
        return None

    def spoof(self, until: float) -> bool:
        """Whether it was ever called `spoof`."""
        return any(spoof for time, _, spoof in self.moments if time < until)


def wilson(count: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if not total:
        return 0.0, 1.0
    z, share = 1.96, count / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def source_of(clip: str) -> str:
    """Where a clip is from, by its name: what stands before `_`, or all of `live/`."""
    return clip.split("_", maxsplit=1)[0] if "_" in clip else "liveportrait"


def of_stills(family: str) -> bool:
    """Whether a family shows nothing but stills (with or without holes)."""
    return "video" not in family and "animated" not in family and family != "filmed"


def choose(attacks: Iterable[Trial], living: Iterable[Trial]) -> Needed:
    """The values with which fewest living are missed by three seconds, of those with which at most
    one in a hundred attacks from stills passes; where none does, of those that let in fewest."""
    stills = [trial for trial in attacks if of_stills(trial.group)]
    people = list(living)
    allowed = _SHARE * len(stills)

    def cost(needed: Needed) -> tuple[float, int, float]:
        passed = sum(trial.live_at(needed, SOON) is not None for trial in stills)
        missed = sum(trial.live_at(needed, SOON) is None for trial in people)
        return max(0.0, passed - allowed), missed, -needed.depth

    return min(CHOICES, key=cost)


def held_out(
    group: str, trials: Sequence[Trial], chosen_on: frozenset[str], needed: Needed, until: float
) -> tuple[int, int]:
    """How many of a group's trials were live, and how many there are. Raises ValueError where the
    group had a part in choosing `needed`."""
    if group in chosen_on:
        raise ValueError(f"{group} was used to choose the values: it has no left-out figure")
    own = [trial for trial in trials if trial.group == group]
    return sum(trial.live_at(needed, until) is not None for trial in own), len(own)


def _sampled(samples: Sequence[Sample], rate: float) -> list[Sample]:
    """The samples that the service would take of a camera at `rate` frames a second."""
    taken: list[Sample] = []
    frame = due = -1.0
    for sample in samples:
        if sample.time + 1e-6 < frame:
            continue
        frame = sample.time + 1 / rate - 0.01
        if sample.time + 1e-6 < due:
            continue
        due = max(due + 0.1, sample.time + 0.05)
        taken.append(sample)
    return taken


def _windows(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """Up to five seconds of a clip, of which at least three, with a face in view throughout."""
    start = samples[0].time
    while start + SOON <= samples[-1].time + 0.15:
        inside = [sample for sample in samples if start <= sample.time < start + LATE]
        times = [start] + [sample.time for sample in inside]
        gaps = np.diff(times)
        if inside and inside[-1].time - start > SOON - 0.3 and gaps.max() < 0.6:
            yield inside
        start += 1.0


def _judged(samples: Sequence[Sample]) -> tuple[tuple[float, CueScores, bool], ...]:
    judge, moments = LivenessJudge(), []
    for sample in samples:
        verdict = judge.take(sample.time, sample)
        moments.append(
            (sample.time - samples[0].time, verdict.scores, verdict.liveness is Liveness.SPOOF)
        )
    return tuple(moments)


def living(cache: Path, condition: str, rate: float) -> list[Trial]:
    """The windows of every clip of living people recorded under a condition."""
    found = []
    for path in sorted(cache.glob(f"{condition}-*.npz")):
        clip = path.stem.removeprefix(f"{condition}-")
        group = source_of(clip) if condition != "filmed" else "filmed"
        for window in _windows(_sampled(load(path), rate)):
            found.append(Trial(group, clip, _judged(window)))
    return found


def attacks(cache: Path) -> list[Trial]:
    """Every composed attack of the cache."""
    found = []
    for path in sorted(cache.glob("*.npz")):
        kind = re.sub(r"-\d+$", "", path.stem)
        samples = load(path) if kind in KINDS else []
        if len(samples) >= 5:
            found.append(Trial(kind, path.stem, _judged(samples)))
    return found


def _row(what: str, count: int, total: int, more: str = "") -> dict[str, object]:
    low, high = wilson(count, total)
    share = 100 * count / max(1, total)
    print(
        f"{what:42} {count:4} of {total:4}  {share:5.1f} %  "
        f"[{100 * low:.1f}, {100 * high:.1f}] {more}",
        flush=True,
    )
    return {"count": count, "total": total, "interval": [low, high]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--shipped", action="store_true", help="rates of the shipped values")
    parser.add_argument("--rates", type=float, nargs="+", default=[15.0, 5.0])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    people, spoofs = living(options.cache, "live", 15.0), attacks(options.cache)
    table: dict[str, object] = {}
    values = _Values(spoofs, people, options.shipped)
    for family in sorted({trial.group for trial in spoofs}):
        needed, used = values.without(family)
        passed, total = held_out(family, spoofs, used, needed, SOON)
        own = [trial for trial in spoofs if trial.group == family]
        spoof = sum(trial.spoof(SOON) for trial in own)
        table[family] = _row(f"APCER {family}", passed, total, f"spoof {spoof} {tuple(needed)}")
    for kind in ("stills", "replays and animated"):
        of = [t for t in spoofs if of_stills(t.group) is (kind == "stills")]
        passed = sum(t.live_at(values.without(t.group)[0], SOON) is not None for t in of)
        table[kind] = _row(f"APCER all {kind}", passed, len(of))
    filmed = living(options.cache, "filmed", 15.0)
    for clip in sorted({trial.name for trial in filmed}):
        own = [trial for trial in filmed if trial.name == clip]
        passed = sum(t.live_at(values.without("filmed")[0], SOON) is not None for t in own)
        table[f"filmed {clip}"] = _row(f"APCER filmed {clip}, windows", passed, len(own))
    for condition, rate in itertools.product(
        [name for name in CONDITIONS if name != "filmed"], options.rates
    ):
        given = (condition, rate) == ("live", 15.0)
        trials = people if given else living(options.cache, condition, rate)
        if trials:
            _people(f"{condition}, {rate:.0f} fps", trials, values, table)
    print("shipped:", tuple(NEEDED), "chosen on everything:", tuple(choose(spoofs, people)))
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))


class _Values:
    """What is needed, chosen without a group, and on which groups."""

    def __init__(self, spoofs: list[Trial], people: list[Trial], shipped: bool) -> None:
        self._spoofs, self._people, self._shipped = spoofs, people, shipped
        self._chosen: dict[str, tuple[Needed, frozenset[str]]] = {}

    def without(self, group: str) -> tuple[Needed, frozenset[str]]:
        if self._shipped:
            return NEEDED, frozenset()
        if group not in self._chosen:
            spoofs = [trial for trial in self._spoofs if trial.group != group]
            people = [trial for trial in self._people if trial.group != group]
            used = frozenset(trial.group for trial in [*spoofs, *people])
            self._chosen[group] = choose(spoofs, people), used
        return self._chosen[group]


def _people(title: str, trials: list[Trial], values: _Values, table: dict[str, object]) -> None:
    sources: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        sources[trial.group].append(trial)
    for until in (SOON, LATE):
        missed_in_all = total_in_all = 0
        for source, own in sources.items():
            needed, used = values.without(source)
            whole = [trial for trial in own if trial.moments[-1][0] > until - 0.3]
            found, total = held_out(source, whole, used, needed, until)
            missed_in_all, total_in_all = missed_in_all + total - found, total_in_all + total
            what = f"BPCER {title}, {until:.0f} s, {source}"
            table[what] = _row(what, total - found, total)
        what = f"BPCER {title}, {until:.0f} s, all"
        table[what] = _row(what, missed_in_all, total_in_all)
    times = [_time(trial, values.without(trial.group)[0]) for trial in trials]
    spoof = sum(trial.spoof(SOON) for trial in trials)
    reached = [sum(t <= limit for t in times) / len(times) for limit in (1.5, 3.0, 5.0)]
    shares = ", ".join(f"{100 * share:.0f} %" for share in reached)
    print(f"   live by 1.5, 3, 5 s: {shares}; median {np.median(times):.1f} s")
    table[f"spoof of the living, {title}"] = _row("   called spoof", spoof, len(trials))


def _time(trial: Trial, needed: Needed) -> float:
    found = trial.live_at(needed, LATE)
    return np.inf if found is None else found


if __name__ == "__main__":
    main()
