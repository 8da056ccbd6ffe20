"""Writes docs/python.md, the reference of the Python surface, from the docstrings (`make api`).

Takes in the package's source, hands on one Markdown page made by griffe2md. It runs none of the
package's code. tests/test_public_names.py checks that the page is as this would write it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import griffe
from griffe2md import ConfigDict, render_object_docs  # type: ignore[import-untyped]

CHECKOUT = Path(__file__).resolve().parent.parent
TYPES = ("ImageInput", "Embedding")
OPTIONS: ConfigDict = {
    "docstring_style": None,
    "heading_level": 3,
    "inherited_members": False,
    "line_length": 100,
    "members_order": "source",
    "show_if_no_docstring": False,
    "show_object_full_path": False,
    "show_root_full_path": False,
    "show_root_members_full_path": False,
    "show_signature_annotations": True,
    "summary": False,
}
FIRST = """\
# From Python

<!-- Written by `make api` from the docstrings in edgeface/: change those, not this file. -->

{summary}

```python
{example}
```

Every error is an `EdgeFaceError`, whose text is one sentence for a person.
Calls of other libraries and what to write here in their place:
[from-other-libraries.md](from-other-libraries.md).
"""


def page() -> str:
    """The whole page."""
    package = _resolved(griffe.GriffeLoader(search_paths=[CHECKOUT]).load("edgeface"))
    names = [str(name) for name in package.exports or () if name != "__version__"]
    objects = {name: _resolved(package[name]) for name in names}
    errors = [name for name, found in objects.items() if _is_error(found)]
    results = [name for name in objects if name not in (*errors, *TYPES, "FaceVerifier")]
    sections = {
        "The verifier": ["FaceVerifier"],
        "What goes in and out": [*TYPES, *results],
        "Errors": errors,
    }
    parts = [_first_part(package.docstring.value if package.docstring else "")]
    for title, members in sections.items():
        parts += [f"## {title}\n", *(_rendered(objects[name]) for name in members)]
    return _formatted("\n".join(parts), "python.md")


def _resolved(found: griffe.Object | griffe.Alias) -> griffe.Object:
    return found.final_target if isinstance(found, griffe.Alias) else found


def _is_error(found: griffe.Object) -> bool:
    bases = found.mro() if isinstance(found, griffe.Class) else []
    return any(kind.name == "EdgeFaceError" for kind in [found, *bases])


def _first_part(docstring: str) -> str:
    """The head of the page: the docstring's first sentence and its indented example."""
    summary, _, rest = docstring.partition("\n\n")
    example = "\n".join(line for line in rest.splitlines() if line.startswith("    "))
    return FIRST.format(summary=summary, example=textwrap.dedent(example))


def _rendered(found: griffe.Object) -> str:
    text = render_object_docs(found, OPTIONS, format_md=True)
    text = re.sub(r"\[(\w+)\]\(#[\w.]+\)", r"\1", text)  # this page has no such anchors
    return re.sub(r"```python\n(.*?)\n```", _signature, text, flags=re.S)


def _signature(block: re.Match[str]) -> str:
    """One signature, in several lines where it is long; `py`, as it is no example to be run."""
    line = block[1]
    if line[0].isupper():
        line = line.removesuffix(" -> None")  # making an object
    if len(line) > 100:
        line = _formatted(f"def {line}: ...\n", "signature.py")
        line = line.removeprefix("def ").removesuffix(": ...\n")
    return f"```py\n{line}\n```"


def _formatted(text: str, name: str) -> str:
    """As the pinned ruff formats a file of this name here, so that `make lint` agrees."""
    options = ["--config=pyproject.toml", f"--stdin-filename={name}"]
    return subprocess.run(  # noqa: S603 (our own linter)
        [sys.executable, "-m", "ruff", "format", *options, "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
    ).stdout


if __name__ == "__main__":
    (Path(sys.argv[1]) if sys.argv[1:] else CHECKOUT / "docs" / "python.md").write_text(page())
