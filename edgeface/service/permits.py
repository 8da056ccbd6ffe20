"""Permits: what the rules of the people say about whoever is recognized, before any output knows.

Takes in events and the answers of live attempts, hands them on with whatever the rules refuse made
an event or an answer that opens nothing and says why. Rules that cannot be read and a clock that
cannot be trusted refuse. It recognizes nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgeface.errors import GalleryError
from edgeface.events import Event
from edgeface.gallery.gallery import file_signature
from edgeface.gallery.rules import OUTPUTS, Rules
from edgeface.gallery.rules_file import AllRules, as_dict, read_rules, rules_of
from edgeface.system.clock import Clock

_log = logging.getLogger("edgeface.service")
_LIVE = "live"


class Permits:
    """The rules beside one gallery, read again as soon as their file has changed."""

    def __init__(self, gallery: Path, clock: Clock) -> None:
        self.problem: str | None = None
        self._use(gallery, clock)

    def use(self, gallery: Path, clock: Clock) -> None:
        """Go on with the rules beside this gallery, and this clock."""
        self._use(gallery, clock)

    def _use(self, gallery: Path, clock: Clock) -> None:
        self._gallery, self._clock = gallery, clock
        self._rules: AllRules = {}
        self._signature: tuple[int, ...] | None = None
        self._read()

    def refresh(self) -> None:
        """Read the rules again where their file has changed."""
        if self._signature != file_signature(rules_of(self._gallery)):
            self._read()

    def _read(self) -> None:
        file = rules_of(self._gallery)
        before, self._signature = self._signature, file_signature(file)
        problem: str | None = None
        try:
            if before is not None and self._signature is None:
                raise GalleryError(
                    f"the rules {file} are gone, so that nothing is opened; bring them back, or "
                    "restart the service to go on without any"
                )
            self._rules = read_rules(self._gallery)
            if self._signature is not None:
                self._clock.note(file.lstat().st_mtime)
        except GalleryError as error:
            problem = str(error)
        except OSError as error:
            problem = f"cannot read the rules {file} ({error.strerror})"
        if problem is not None and problem != self.problem:
            _log.error("%s", problem)
        self.problem = problem

    def refusal(self, name: str) -> str | None:
        """Why nothing may be opened to this person now; None where something may."""
        if self.problem is not None:
            return self.problem
        rules = self._of(name)
        if not rules.needs_clock:
            return None
        return self._clock.doubt() or rules.refusal(self._clock.local())

    def allows(self, name: str, output: str) -> bool:
        """Whether this output may act upon the person now."""
        return self.refusal(name) is None and self._of(name).allows(output)

    def judge(self, event: Event) -> tuple[Event, Mapping[str, Event]]:
        """The event as every sink may have it, and what single ones get in its place."""
        if event.type != "recognized" or event.name is None:
            return event, {}
        if why := self.refusal(event.name):
            return _refused(event, why), {}
        rules = self._of(event.name)
        closed = [output for output in OUTPUTS if not rules.allows(output)]
        return event, {name: _refused(event, f"{name} is not among the outputs") for name in closed}

    def answer(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer of a live attempt, which verifies nobody who may not be let in."""
        if answer.get("match") and (why := self._live_refusal(answer["name"])):
            return {**answer, "match": False, "note": f"recognized, but {why}"}
        if "faces" in answer:
            return {**answer, "faces": [self._face(face) for face in answer["faces"]]}
        return answer

    def _face(self, face: dict[str, Any]) -> dict[str, Any]:
        why = None if face["name"] is None else self._live_refusal(face["name"])
        if why is None:
            return face
        return {**face, "name": None, "note": f"{face['name']} is recognized, but {why}"}

    def _live_refusal(self, name: str) -> str | None:
        if why := self.refusal(name):
            return why
        return None if self._of(name).allows(_LIVE) else "live is not among the outputs"

    def listed(self) -> dict[str, Any]:
        """All rules, for administrators: `rules` by name, and the `rules_problem`, a sentence or
        null."""
        return {
            "rules": {name: as_dict(rules) for name, rules in self._rules.items()},
            "rules_problem": self.trouble,
        }

    @property
    def trouble(self) -> str | None:
        """Why nothing is opened to some or to all, whatever their rules say; None where all is
        well."""
        timed = any(rules.needs_clock for rules in self._rules.values())
        return self.problem or (self._clock.doubt() if timed else None)

    def _of(self, name: str) -> Rules:
        return next((rules for known, rules in self._rules.items() if known == name), Rules())


def _refused(event: Event, why: str) -> Event:
    """The event about somebody who is recognized and to whom nothing is opened."""
    return msgspec.structs.replace(event, type="not_permitted", message=why)
