"""The commands that README and docs tell their readers, as data.

Takes in the Markdown files, hands on `Told` lines: those of code blocks, to be run or parsed whole,
and those in running text, which may leave arguments out. It runs nothing.
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
class Told:
    """One command: where it stands, and its words without sudo, prompt and the program's folder."""

    document: str
    line: int
    text: str
    whole: bool
    """From a code block, hence complete; else from running text."""

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

    def commands(self) -> list[Told]:
        """Its commands; none where its first line is no command, as in a listing of output."""
        told: list[Told] = []
        if self.language not in ("", "sh"):
            return told
        continued = ""
        for number, line in self.lines:
            text = continued + line.strip()
            if text.endswith("\\"):
                continued = text[:-1]
                continue
            continued = ""
            for part in re.split(r"\s&&\s|\s\|\s", text):
                command = Told(self.document, number, part, True)
                try:
                    words = command.words
                except ValueError:  # a formula, say, with a prime for a quotation mark
                    if told:
                        raise
                    return []
                if not part or part.startswith("#") or not words:
                    continue
                if not told and words[0] not in PROGRAMS:
                    return []
                told.append(command)
        return told


def documents() -> list[Path]:
    """README, the docs, and what stands beside them."""
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


def inline(path: Path) -> list[Told]:
    """Commands of ours, of make and of pip between backticks in running text."""
    text = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), path.read_text(), flags=re.S)
    told = []
    for found in re.finditer(r"`([^`]+)`", text):
        content = " ".join(found[1].split())
        if re.match(r"(sudo )?(edgeface|convert-model|make|pip install|python) ", content):
            number = text.count("\n", 0, found.start()) + 1
            told += [Told(path.name, number, part, False) for part in content.split(" && ")]
    return told
