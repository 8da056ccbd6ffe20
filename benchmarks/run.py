"""Everything in docs/benchmarks.md, measured and written: `make benchmark LFW=lfw-view1`.

Takes in LFW View 1's folder; each part (timing, accuracy, degradation) writes its own section and
leaves the others as they are, so that timings can be taken alone on an idle machine.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers import accuracy, degradation, timing

PAGE = Path("docs/benchmarks.md")


def write(part: str, text: str) -> None:
    """Put a part's tables between its markers on the page."""
    page = PAGE.read_text()
    pattern = rf"(<!-- {part} -->\n).*?(<!-- /{part} -->)"
    PAGE.write_text(re.sub(pattern, lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page, flags=re.S))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("view1", type=Path, nargs="?", help="not needed for timing alone")
    parser.add_argument("--only", choices=("timing", "accuracy", "degradation"))
    parser.add_argument("--rounds", type=int, default=timing.ROUNDS)
    parser.add_argument("--pairs", type=int, help="a trial with so many pairs; nothing is written")
    options = parser.parse_args()
    parts: dict[str, Callable[[], str]] = {
        "timing": lambda: timing.report(options.rounds),
        "accuracy": lambda: accuracy.report(options.view1, options.pairs),
        "degradation": lambda: degradation.report(options.view1, options.pairs),
    }
    for part in [options.only] if options.only else parts:
        if part != "timing" and options.view1 is None:
            parser.error(f"{part} needs the folder of LFW View 1")
        text = parts[part]()
        print(text)
        if options.pairs is None:
            write(part, text)


if __name__ == "__main__":
    main()
