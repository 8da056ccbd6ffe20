"""Publish: makes the package that a door must have now.

Takes in a connection, the hub's keys and which generation a door has; hands on signed bytes. What
the door was sent is noted in the same transaction, so that two hubs on one database never make two
packages of one generation. As a door's own credential it reads and writes what row-level security
leaves to that door. It answers no request itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeface.errors import ConfigError
from edgeface.hub.keys import HubKeys
from edgeface.hub.package import Package, Person, sign

if TYPE_CHECKING:
    from psycopg import Connection

DEFAULT_DAYS = 30  # for which a package can be applied
_DAY = 86400  # seconds
_DOOR = "SELECT id, name, model, numbers, generation, floor FROM edgeface.door"


@dataclass(frozen=True)
class _Door:
    id: int
    name: str
    model: str
    numbers: int
    generation: int
    floor: int


class Publisher:
    """Makes packages in the connection's transaction, at the time `now` (seconds since 1970)."""

    def __init__(self, connection: Connection[Any], keys: HubKeys, now: float, days: int) -> None:
        self._database, self._keys = connection, keys
        self._now, self._days = now, days

    def snapshot(self, name: str) -> bytes:
        """Everybody who may use a door now. Raises ConfigError where there is no such door."""
        door = self._door(_DOOR + " WHERE name = %s FOR UPDATE", name)
        if door is None:
            raise ConfigError(
                f"the hub has no door {name}; check the name with: edgeface hub doors"
            )
        return self._package(self._current(door), 0)

    def answer(self, token: str, has: int, base: int) -> bytes | None:
        """What the door of this token needs: it has generation `has`, and `base` whole (0 where
        its gallery does not have what it was sent). None where there is nothing new.

        Raises PermissionError for a token that no door has.
        """
        self._database.execute(b"SET LOCAL ROLE edgeface_door")
        self._database.execute(b"SELECT set_config('edgeface.token', %s, true)", [token])
        door = self._door(_DOOR + " WHERE id = edgeface.caller() FOR UPDATE")
        if door is None:
            raise PermissionError("no door has this token")
        door = self._heard(door, has)
        door = self._current(door)
        if base == door.generation:
            return None
        return self._package(door, base if door.floor <= base < door.generation else 0)

    def _door(self, query: str, *values: object) -> _Door | None:
        """A door, which nobody else publishes for until the transaction ends."""
        found = self._rows(query, *values)
        return _Door(*found[0]) if found else None

    def _heard(self, door: _Door, has: int) -> _Door:
        """Note what a door says that it has, and forget the names that it has removed.

        A hub that came back from an older backup goes on after what its door has: anything earlier
        the door would refuse.
        """
        self._database.execute(
            b"DELETE FROM edgeface.sent"
            b" WHERE door_id = %s AND version IS NULL AND generation <= %s",
            [door.id, min(has, door.generation)],
        )
        floor = max(door.floor, min(has, door.generation))
        generation = door.generation if has <= door.generation else has + 1
        if has > door.generation:
            floor = generation
        self._database.execute(
            b"UPDATE edgeface.door SET seen = to_timestamp(%s), acknowledged = %s, floor = %s,"
            b" generation = %s WHERE id = %s",
            [self._now, has, floor, generation, door.id],
        )
        return _Door(door.id, door.name, door.model, door.numbers, generation, floor)

    def _current(self, door: _Door) -> _Door:
        """Note what has changed for a door as its next generation, where something has."""
        wanted = self._wanted(door)
        sent = dict(
            self._rows("SELECT name, version FROM edgeface.sent WHERE door_id = %s", door.id)
        )
        changed: Mapping[str, int | None] = {
            **{name: version for name, version in wanted.items() if sent.get(name) != version},
            **{name: None for name, version in sent.items() if version and name not in wanted},
        }
        if not changed and door.generation:
            return door
        after = door.generation + 1
        with self._database.cursor() as cursor:
            cursor.executemany(
                b"INSERT INTO edgeface.sent VALUES (%s, %s, %s, %s) ON CONFLICT (door_id, name)"
                b" DO UPDATE SET version = excluded.version, generation = excluded.generation",
                [(door.id, name, version, after) for name, version in changed.items()],
            )
        self._database.execute(
            b"UPDATE edgeface.door SET generation = %s WHERE id = %s", [after, door.id]
        )
        return _Door(door.id, door.name, door.model, door.numbers, after, door.floor)

    def _wanted(self, door: _Door) -> dict[str, int]:
        """Who may use a door now, and the version of their templates for its model."""
        return dict(
            self._rows(
                "SELECT name, version FROM edgeface.access"
                " JOIN edgeface.person ON person.id = access.person_id"
                " JOIN edgeface.template ON template.person_id = person.id AND model = %s"
                " WHERE door_id = %s AND (valid_from IS NULL OR valid_from <= to_timestamp(%s))"
                " AND (valid_until IS NULL OR valid_until > to_timestamp(%s))",
                door.model,
                door.id,
                self._now,
                self._now,
            )
        )

    def _package(self, door: _Door, base: int) -> bytes:
        people = self._rows(
            "SELECT person.name, site_id, person.id, sealed FROM edgeface.sent"
            " JOIN edgeface.person ON person.name = sent.name"
            " JOIN edgeface.template ON person_id = person.id AND model = %s"
            " WHERE door_id = %s AND sent.version IS NOT NULL AND sent.generation > %s"
            " ORDER BY person.name",
            door.model,
            door.id,
            base,
        )
        removed = self._rows(
            "SELECT name FROM edgeface.sent"
            " WHERE door_id = %s AND version IS NULL AND generation > %s ORDER BY name",
            door.id,
            base,
        )
        package = Package(
            door=door.name,
            model=door.model,
            numbers=door.numbers,
            base=base,
            generation=door.generation,
            made=int(self._now),
            expires=int(self._now) + self._days * _DAY,
            people=tuple(
                self._person(name, site, person, door.model, sealed)
                for name, site, person, sealed in people
            ),
            removed=() if base == 0 else tuple(name for (name,) in removed),
        )
        return sign(package, self._keys.signing)

    def _person(self, name: str, site: int, person: int, model: str, sealed: bytes) -> Person:
        templates = self._keys.unseal(site, person, model, sealed)
        return Person(name, templates.rows, templates.days)

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self._database.execute(query.encode(), values).fetchall()
