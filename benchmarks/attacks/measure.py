"""Measure: APCER per attack kind and BPCER per clip, by ISO/IEC 30107-3.

Takes in the cache that record.py made, prints a table. An attack counts as passed when the verdict
was `live` at any time in its three seconds; a window of a clip counts as rejected when it was not
`live` at any time in it, judged from its first frame.

    python benchmarks/attacks/measure.py CACHE [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from benchmarks.attacks.kinds import REPORT, TUNING
from benchmarks.attacks.record import load
from edgeface.liveness.judge import Liveness, LivenessJudge
from edgeface.liveness.sample import Sample

WINDOW, STRIDE = 3.0, 1.0


def time_to_live(samples: list[Sample]) -> tuple[float | None, bool]:
    """Seconds until `live` was said (None: never), and whether `spoof` ever was."""
    judge = LivenessJudge()
    spoof = False
    for sample in samples:
        verdict = judge.take(sample.time, sample)
        if verdict.liveness is Liveness.LIVE:
            return sample.time - samples[0].time, spoof
        spoof |= verdict.liveness is Liveness.SPOOF
    return None, spoof


def windows(samples: list[Sample]) -> list[list[Sample]]:
    """Windows of three seconds with a face in view, one beginning every second."""
    found = []
    start = samples[0].time
    while start + WINDOW <= samples[-1].time + 0.11:
        inside = [s for s in samples if start <= s.time < start + WINDOW]
        if len(inside) >= 25:
            found.append(inside)
        start += STRIDE
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--kinds", nargs="*", default=["live", "live degraded", *TUNING, *REPORT])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    table = {}
    for kind in options.kinds:
        rows: dict[str, list[tuple[float | None, bool]]] = defaultdict(list)
        for path in sorted(options.cache.glob(f"{kind}-*.npz")):
            samples = load(path)
            if len(samples) < 5:
                continue
            if kind.startswith("live"):
                rows[path.stem] += [time_to_live(window) for window in windows(samples)]
            else:
                rows[path.stem].append(time_to_live(samples))
        table[kind] = _row(kind, rows)
        sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))


def _row(kind: str, rows: dict[str, list[tuple[float | None, bool]]]) -> dict[str, object]:
    every = [outcome for outcomes in rows.values() for outcome in outcomes]
    live = [seconds for seconds, _ in every if seconds is not None]
    share = len(live) / max(1, len(every))
    spoof = sum(s for seconds, s in every if seconds is None) / max(1, len(every))
    median = float(np.median(live)) if live else float("nan")
    use = "tuning" if kind in TUNING else "report" if kind in REPORT else "live"
    print(
        f"{kind:20} {use:7} n {len(every):4}  live {100 * share:6.2f} %  spoof "
        f"{100 * spoof:5.1f} %  median {median:4.2f} s"
    )
    if kind.startswith("live"):
        for name, outcomes in rows.items():
            times = [seconds for seconds, _ in outcomes]
            print(f"   {name:24} missed {sum(t is None for t in times)} of {len(times)}")
    else:
        passed = [name for name, outcomes in rows.items() if outcomes[0][0] is not None]
        if use == "tuning" and "video" not in kind:
            print("   passed:", ", ".join(passed))
    return {"use": use, "sequences": len(every), "live": share, "spoof": spoof, "median_s": median}


if __name__ == "__main__":
    main()
