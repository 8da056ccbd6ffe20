"""The commands in README and docs, as data.

Takes in the Markdown files, hands on `Example`s: the lines of code blocks, to be run or parsed
whole, and commands in running text, which may leave arguments out. It runs nothing.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
OURS = ("edgeface", "convert-model", "train-triplet")
SYSTEM = (
    *(
        "apt",
        "cat",
        "chmod",
        "chown",
        "cp",
        "df",
        "dpkg",
        "exit",
        "fuser",
        "git",
        "install",
        "mount",
    ),
    *("journalctl", "openssl", "raspi-config", "rm", "rpicam-hello", "scp", "ssh", "systemctl"),
    *("systemd-analyze", "systemd-creds", "unset", "usermod", "vcgencmd"),
)
"""Programs of the system that a guide may name; any other first word is a slip."""
PROGRAMS = (*OURS, *SYSTEM, "make", "pip", "python", "python3")


@dataclass(frozen=True)
class Example:
    """One command: its place, and its words without sudo, prompt and the program's folder."""

    document: str
    line: int
    text: str
    whole: bool
    """From a code block, so complete; otherwise from running text."""

    @property
    def words(self) -> list[str]:
        words = shlex.split(self.text, comments=True)
        while words and (words[0] == "sudo" or re.fullmatch(r"[A-Z_]+=.*", words[0])):
            words = words[1:]
        return [Path(words[0]).name, *words[1:]] if words else []

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Block:
    """A fenced or indented block: its language ("" if none) and its lines with their numbers."""

    document: str
    language: str
    lines: tuple[tuple[int, str], ...]

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def commands(self) -> list[Example]:
        """Its commands; none where its first line is not a command, as in printed output."""
        examples: list[Example] = []
        if self.language not in ("", "sh"):
            return examples
        continued = ""
        for number, line in self.lines:
            text = continued + line.strip()
            if text.endswith("\\"):
                continued = text[:-1]
                continue
            continued = ""
            for part in re.split(r"\s&&\s|\s\|\s", text):
                command = Example(self.document, number, part, True)
                try:
                    words = command.words
                except ValueError:  # a formula, say, with a prime for a quotation mark
                    if examples:
                        raise
                    return []
                if not part or part.startswith("#") or not words:
                    continue
                if not examples and words[0] not in PROGRAMS:
                    return []
                examples.append(command)
        return examples


def documents() -> list[Path]:
    """README, its neighbours, and the docs."""
    return [*sorted(CHECKOUT.glob("*.md")), *sorted((CHECKOUT / "docs").glob("*.md"))]


def blocks(path: Path) -> list[Block]:
    """All code blocks of a document; those in lists count as well."""
    found: list[Block] = []
    language: str | None = None
    lines: list[tuple[int, str]] = []
    indented = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = re.match(r"\s*```(\w*)", line)
        if fence and language is None:
            language, lines, indented = fence[1], [], False
        elif fence:
            found.append(Block(path.name, language or "", tuple(lines)))
            language, lines = None, []
        elif language is not None:
            lines.append((number, line.strip() if language == "" else line))
        elif line.startswith("    ") and (indented or not lines):
            indented = True
            lines.append((number, line.strip()))
        elif indented and line.strip():
            found.append(Block(path.name, "", tuple(lines)))
            lines, indented = [], False
    if lines:
        found.append(Block(path.name, "", tuple(lines)))
    return found


def inline(path: Path) -> list[Example]:
    """Our own, make's and pip's commands between backticks in running text."""
    text = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), path.read_text(), flags=re.S)
    examples = []
    for found in re.finditer(r"`([^`]+)`", text):
        content = " ".join(found[1].split())
        if re.match(r"(sudo )?(edgeface|convert-model|make|pip install|python) ", content):
            number = text.count("\n", 0, found.start()) + 1
            examples += [Example(path.name, number, part, False) for part in content.split(" && ")]
    return examples
