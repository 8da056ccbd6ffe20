"""Rules file: the rules of a gallery's people, in a file of their own beside the gallery.

Takes in and hands on `Rules` by name. The file is written as the gallery is: by the holder of the
gallery's lock, 0600, beside the old one and to the disk, read back before it takes its place. One
that is damaged, or that says what EdgeFace would never have written, is an error and not no rules.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgeface.errors import GalleryError
from edgeface.gallery.names import PersonName, person_name
from edgeface.gallery.rules import (
    Rules,
    hours_text,
    parse_hours,
    parse_outputs,
    parse_until,
)
from edgeface.gallery.store import exclusively
from edgeface.system.storage import Folder

_FORMAT = "edgeface-rules-1"
_LARGEST = 4 << 20  # bytes
AllRules = Mapping[PersonName, Rules]


def rules_of(path: Path) -> Path:
    """Where the rules of the people in the gallery at `path` are."""
    return path.with_name(f"{path.name}.rules")


def as_dict(rules: Rules) -> dict[str, Any]:
    """Rules as JSON has them: `hours`, `until`, `outputs`, each null for no limit."""
    return {
        "hours": None if rules.hours is None else hours_text(rules.hours),
        "until": None if rules.until is None else rules.until.isoformat(),
        "outputs": None if rules.outputs is None else list(rules.outputs),
    }


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hours: str | None
    until: str | None
    outputs: list[str] | None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    sha256: str
    people: dict[str, _Rule]


def read_rules(path: Path) -> AllRules:
    """The rules beside the gallery at `path`; none where there is no file.

    Raises GalleryError for a file that cannot be read or is damaged.
    """
    try:
        with Folder(path.parent) as folder:
            return held_rules(folder, path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise GalleryError(f"cannot read the rules of {path} ({error.strerror})") from None


def _read(folder: Folder, file: Path, name: str) -> AllRules:
    with os.fdopen(folder.open(name), "rb") as opened:
        data = opened.read(_LARGEST)
    try:
        found = msgspec.json.decode(data, type=_File)
        rules = {person_name(key): _parsed(rule) for key, rule in found.people.items()}
        sound = found.format == _FORMAT and _encoded(rules) == data
    except (msgspec.MsgspecError, ValueError, RecursionError, GalleryError):
        sound = False
    if not sound:
        raise GalleryError(
            f"the rules {file} are damaged, so that nothing is opened; bring back a good copy, or "
            "move the file away and set the rules again with: edgeface rules"
        )
    return rules


def _parsed(rule: _Rule) -> Rules:
    return Rules(
        None if rule.hours is None else parse_hours(rule.hours),
        None if rule.until is None else parse_until(rule.until),
        None if rule.outputs is None else parse_outputs(rule.outputs),
    )


def _encoded(rules: AllRules) -> bytes:
    """The file's bytes; equal rules give equal bytes."""
    people = {str(name): as_dict(rules[name]) for name in sorted(rules)}
    digest = hashlib.sha256(msgspec.json.encode(people)).hexdigest()
    return msgspec.json.encode({"format": _FORMAT, "sha256": digest, "people": people}) + b"\n"


def write_rules(folder: Folder, path: Path, rules: AllRules) -> None:
    """Make these the rules beside the gallery at `path`; the holder of its lock calls it.

    GalleryError leaves the old ones in force.
    """
    file = rules_of(path)
    try:
        new = folder.write(file.name, [_encoded(rules)])
        try:
            if _read(folder, file, new) != rules:
                raise GalleryError(f"the rules {file} cannot be read back; check the disk")
            folder.replace(new, file.name)
        finally:
            folder.remove(new)
        folder.sync()
    except OSError as error:
        raise GalleryError(
            f"cannot write the rules {file}: {error.strerror}; the old ones hold"
        ) from None


def change_rules(path: Path, name: PersonName, rules: Rules) -> None:
    """Set the rules of one person beside the gallery at `path`, for good when this returns."""
    with exclusively(path) as folder:
        known = dict(held_rules(folder, path))
        known.pop(name, None)
        if not rules.unlimited:
            known[name] = rules
        write_rules(folder, path, known)


def held_rules(folder: Folder, path: Path) -> AllRules:
    """As `read_rules`, for the holder of the gallery's lock."""
    file = rules_of(path)
    try:
        return _read(folder, file, file.name)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise GalleryError(f"cannot read the rules {file} ({error.strerror})") from None
