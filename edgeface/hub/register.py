"""Register: the people, sites and doors of a hub, in PostgreSQL.

Takes in a connection and the hub's keys, hands on what the register holds, and takes changes of it.
Each method is a part of the connection's transaction. Templates are sealed before they reach the
database and opened after they left it. It sends nothing to a door and judges no face.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ConfigError, GalleryError, UnknownPerson
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.names import PersonName, person_name, refuse_reserved
from edgeface.hub.keys import HubKeys, Templates
from edgeface.pipeline.model_file import Model

if TYPE_CHECKING:
    from psycopg import Connection

_BLOCK = 1024  # templates compared with all others at once


@dataclass(frozen=True)
class DoorState:
    """A door as the register knows it. generation: the last that was made for it; acknowledged: the
    last that it said it has; people: how many may use it, whenever."""

    name: str
    site: str
    generation: int
    acknowledged: int
    seen: datetime | None
    people: int


@dataclass(frozen=True)
class Registered:
    """Somebody in the register, and the doors that they may use, whenever."""

    name: str
    site: str
    consent: str
    doors: list[str]


@dataclass(frozen=True)
class Pair:
    """Two registered people who may be one: the highest cosine of their templates."""

    name: str
    other: str
    score: float


class Register:
    """The register in one database."""

    def __init__(self, connection: Connection[Any], keys: HubKeys) -> None:
        self.database, self.keys = connection, keys

    def add_door(self, name: str, site: str, model: Model) -> str:
        """Add a door, and its site where it is new; returns the token with which it asks, which is
        kept nowhere. GalleryError for a name that another door has."""
        token = secrets.token_urlsafe(32)
        added = self._rows(
            "INSERT INTO edgeface.door (site_id, name, model, numbers, token_sha256)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (name) DO NOTHING RETURNING id",
            self._site(site),
            person_name(name),
            model.identity,
            model.description.embedding.size,
            hashlib.sha256(token.encode()).digest(),
        )
        if not added:
            raise GalleryError(f"there is a door {name} already; give this one another name")
        return token

    def remove_door(self, name: str) -> None:
        """Remove a door: its token opens nothing any more. What it holds, it keeps."""
        self._rows("DELETE FROM edgeface.door WHERE id = %s RETURNING id", self._door(name))

    def add_people(
        self, arriving: Gallery, site: str, consent: str, same: float | None
    ) -> tuple[list[PersonName], list[PersonName]]:
        """Register everybody of a gallery at a site, with new templates who is there already;
        returns who is new and who was there.

        Raises GalleryError, with nobody registered, for a name that is taken at another site or by
        somebody who looks different, and for somebody who looks like another person in the register
        (a cosine of `same` or more; None: nobody checks).
        """
        place = self._site(site)
        names = [name for name, _ in arriving.people]
        if same is not None:
            self._require_no_duplicate(arriving, same)
        added: list[PersonName] = []
        updated: list[PersonName] = []
        for name in names:
            refuse_reserved(name)
            person, new = self._person_at(place, name, consent)
            (added if new else updated).append(name)
            self._store(place, person, arriving, name)
        return added, updated

    def allow(
        self,
        names: Sequence[str],
        doors: Sequence[str],
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> None:
        """Let people use doors, from `start` to `end` where these are given.

        Raises UnknownPerson and ConfigError for who or what is not in the register.
        """
        people = [self._person(name) for name in names]
        for door in [self._door(name) for name in doors]:
            for person in people:
                self.database.execute(
                    "INSERT INTO edgeface.access VALUES (%s, %s, %s, %s)"
                    " ON CONFLICT (person_id, door_id) DO UPDATE SET"
                    " valid_from = excluded.valid_from, valid_until = excluded.valid_until",
                    [person, door, start, end],
                )

    def forbid(self, names: Sequence[str], doors: Sequence[str]) -> None:
        """Let people use doors no longer. Raises as `allow`."""
        people = [self._person(name) for name in names]
        self.database.execute(
            "DELETE FROM edgeface.access WHERE person_id = ANY(%s) AND door_id = ANY(%s)",
            [people, [self._door(name) for name in doors]],
        )

    def remove(self, name: str) -> list[str]:
        """Erase somebody from the register; returns the doors that may still have them."""
        person = self._person(name)
        self.database.execute("DELETE FROM edgeface.person WHERE id = %s", [person])
        return [
            door
            for (door,) in self._rows(
                "SELECT door.name FROM edgeface.sent JOIN edgeface.door ON id = door_id"
                " WHERE sent.name = %s AND (version IS NOT NULL OR acknowledged < sent.generation)"
                " ORDER BY door.name",
                person_name(name),
            )
        ]

    def people(self) -> list[Registered]:
        """Everybody, by name."""
        return [
            Registered(*row)
            for row in self._rows(
                "SELECT person.name, site.name, consent, coalesce(array_agg(door.name"
                " ORDER BY door.name) FILTER (WHERE door.id IS NOT NULL), '{}')"
                " FROM edgeface.person JOIN edgeface.site ON site.id = person.site_id"
                " LEFT JOIN edgeface.access ON person_id = person.id"
                " LEFT JOIN edgeface.door ON door.id = door_id"
                " GROUP BY person.id, site.id ORDER BY person.name"
            )
        ]

    def doors(self) -> list[DoorState]:
        """Every door, by name."""
        return [
            DoorState(*row)
            for row in self._rows(
                "SELECT door.name, site.name, generation, acknowledged, seen,"
                " (SELECT count(*) FROM edgeface.access WHERE door_id = door.id)"
                " FROM edgeface.door JOIN edgeface.site ON site.id = site_id ORDER BY door.name"
            )
        ]

    def doors_of(self, site: str) -> list[str]:
        """The names of a site's doors."""
        return [door.name for door in self.doors() if door.site == site]

    def duplicates(self, model: Model, same: float) -> list[Pair]:
        """Whoever may be registered under two names, the likeliest first."""
        return _pairs(self._templates(model), self._templates(model), same)

    def _require_no_duplicate(self, arriving: Gallery, same: float) -> None:
        known = self._templates_of(arriving.contents.model_identity, arriving.numbers)
        new: dict[str, NDArray[np.float32]] = {
            name: arriving.templates(name) for name, _ in arriving.people
        }
        for name in new.keys() & known.keys():
            score = float((new[name] @ known[name].T).max(axis=1).min())
            if score < same:
                raise GalleryError(
                    f"nobody was registered: another {name} is registered, who looks different "
                    f"({score:.2f}); rename one of the two, or use --force"
                )
        others = {name: rows for name, rows in known.items() if name not in new} | new
        if found := _pairs(new, others, same):
            pair = found[0]
            raise GalleryError(
                f"nobody was registered: {pair.name} looks like {pair.other} ({pair.score:.2f}), "
                "who may be the same person; leave one of them out, or use --force"
            )

    def _templates(self, model: Model) -> dict[str, NDArray[np.float32]]:
        return self._templates_of(model.identity, model.description.embedding.size)

    def _templates_of(self, model: str, numbers: int) -> dict[str, NDArray[np.float32]]:
        """By name, everybody's templates as unit rows."""
        rows = self._rows(
            "SELECT name, site_id, id, sealed FROM edgeface.template"
            " JOIN edgeface.person ON id = person_id WHERE model = %s ORDER BY name",
            model,
        )
        return {
            name: unit_rows(self.keys.unseal(site, person, model, sealed).rows, numbers)
            for name, site, person, sealed in rows
        }

    def _store(self, site: int, person: int, arriving: Gallery, name: PersonName) -> None:
        model = arriving.contents.model_identity
        held = arriving.contents
        rows = held.templates[held.rows_of(arriving.index(name))].tobytes()
        templates = Templates(rows, tuple(arriving.days(name).tolist()))
        self.database.execute(
            "INSERT INTO edgeface.template (person_id, model, sealed) VALUES (%s, %s, %s)"
            " ON CONFLICT (person_id, model) DO UPDATE SET"
            " sealed = excluded.sealed, version = nextval('edgeface.version')",
            [person, model, self.keys.seal(site, person, model, templates)],
        )

    def _person_at(self, site: int, name: PersonName, consent: str) -> tuple[int, bool]:
        """Somebody's number at a site, and whether they are new there."""
        found = self._rows("SELECT id, site_id FROM edgeface.person WHERE name = %s", name)
        if found and found[0][1] != site:
            raise GalleryError(
                f"nobody was registered: there is a {name} at another site; if they are one "
                f"person, let them use the doors with: edgeface hub allow {name!r} --door DOOR"
            )
        if found:
            return found[0][0], False
        ((person,),) = self._rows(
            "INSERT INTO edgeface.person (site_id, name, consent) VALUES (%s, %s, %s) RETURNING id",
            site,
            name,
            consent,
        )
        return person, True

    def _site(self, name: str) -> int:
        """A site's number; it is made where there is none of this name."""
        ((number,),) = self._rows(
            "INSERT INTO edgeface.site (name) VALUES (%s)"
            " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
            person_name(name),
        )
        return int(number)

    def _person(self, name: str) -> int:
        found = self._rows("SELECT id FROM edgeface.person WHERE name = %s", person_name(name))
        if not found:
            raise UnknownPerson(f"{name} is not registered; check the name with: edgeface hub list")
        return int(found[0][0])

    def _door(self, name: str) -> int:
        found = self._rows("SELECT id FROM edgeface.door WHERE name = %s", person_name(name))
        if not found:
            raise ConfigError(
                f"the hub has no door {name}; check the name with: edgeface hub doors"
            )
        return int(found[0][0])

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self.database.execute(query.encode(), values).fetchall()


def unit_rows(rows: bytes, numbers: int) -> NDArray[np.float32]:
    """int8 rows as unit vectors, shape (m, numbers)."""
    read = np.frombuffer(rows, np.int8).reshape(-1, numbers).astype(np.float32)
    unit: NDArray[np.float32] = read / np.linalg.norm(read, axis=1, keepdims=True)
    return unit


def _pairs(
    some: Mapping[str, NDArray[np.float32]], others: Mapping[str, NDArray[np.float32]], same: float
) -> list[Pair]:
    """The pairs of two names of which a template of one scores `same` or more with one of the
    other, each once, the highest score first."""
    if not some or not others:
        return []
    names, all_names = list(some), list(others)
    owners = np.repeat(np.arange(len(names)), [len(some[name]) for name in names])
    all_owners = np.repeat(np.arange(len(all_names)), [len(others[name]) for name in all_names])
    probes, known = np.concatenate([*some.values()]), np.concatenate([*others.values()])
    best: dict[tuple[str, str], float] = {}
    for first in range(0, len(probes), _BLOCK):
        scores = probes[first : first + _BLOCK] @ known.T
        for row, column in zip(*np.nonzero(scores >= same), strict=True):
            one, other = sorted((names[owners[first + row]], all_names[all_owners[column]]))
            if one != other:
                score = float(scores[row, column])
                best[one, other] = max(best.get((one, other), score), score)
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return [Pair(one, other, score) for (one, other), score in ranked]
