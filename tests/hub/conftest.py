"""One PostgreSQL for the tests of the hub, and for each test a hub of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeface.cli import main
from edgeface.gallery.change import GalleryChange
from edgeface.hub.keys import HubKeys
from edgeface.pipeline.model_file import load_model
from tests.conftest import CommandLine
from tests.helpers.command import Outcome, call

if TYPE_CHECKING:
    from tests.helpers.postgres import Server

MODEL = load_model()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    from tests.helpers.postgres import running  # test_door.py needs no psycopg

    with running() as server:
        yield server


@dataclass(frozen=True)
class Hub:
    """A hub's commands, with its database and key, and what its doors are like."""

    folder: Path
    database: str

    @property
    def key_file(self) -> Path:
        return self.folder / "hub.key"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "EDGEFACE_HUB_DATABASE": self.database,
            "EDGEFACE_HUB_KEY_FILE": str(self.key_file),
        }

    @cached_property
    def keys(self) -> HubKeys:
        return HubKeys.read(self.key_file)

    def __call__(self, *arguments: str | Path) -> Outcome:
        return call(main, "hub", *arguments, environment=self.environment)

    def done(self, *arguments: str | Path) -> Outcome:
        """The same for what must succeed."""
        outcome = self(*arguments)
        assert outcome.status == 0, outcome.stderr
        return outcome

    def door(self, name: str, site: str) -> CommandLine:
        """A new door, which has joined."""
        made = self.done("add-door", name, "--site", site, "--json").json
        (self.folder / name).mkdir()
        door = CommandLine(self.folder / name)
        assert door("door", "join", name, made["key"]).status == 0
        return door

    def people(self, **seeds: int) -> Path:
        """A file of people, each with two templates by a seed: equal seeds are one person's."""
        whose = "-".join(f"{name}{seed}" for name, seed in seeds.items())
        file = self.folder / f"{whose}.people"
        size = MODEL.description.embedding.size
        with GalleryChange.open(file, MODEL) as change:
            for name, seed in seeds.items():
                draw = np.random.default_rng(seed)
                centre = draw.normal(size=size)
                rows = centre + 0.1 * np.random.default_rng(len(name)).normal(size=(2, size))
                rows /= np.linalg.norm(rows, axis=1, keepdims=True)
                change.add_people({name: rows.astype(np.float32)})
        return file


@pytest.fixture(scope="session")
def migrated(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A database after `edgeface hub init`, to be copied, and its hub's key."""
    first = Hub(tmp_path_factory.mktemp("hub"), postgres.database())
    first.done("init")
    return first.database, first.key_file


@pytest.fixture
def hub(postgres: Server, migrated: tuple[str, Path], tmp_path: Path) -> Hub:
    database, key = migrated
    found = Hub(tmp_path, postgres.copy(database))
    found.key_file.write_bytes(key.read_bytes())
    found.key_file.chmod(0o600)
    return found
