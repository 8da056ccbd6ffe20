"""Cameras over HTTP that answer as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.helpers.sources import Camera, Respond


@pytest.fixture
def camera() -> Iterator[Callable[[Respond], Camera]]:
    made: list[Camera] = []

    def make(respond: Respond) -> Camera:
        made.append(Camera(respond))
        return made[-1]

    yield make
    for each in made:
        each.close()
