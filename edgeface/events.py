"""Events: what the service tells the world, in one documented form.

Takes in verdicts and incidents, hands on `Event`s, which are JSON objects on the way out. An event
never holds a picture or an embedding. `events.schema.json` beside this module is its JSON Schema.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from edgeface.config import Subject
from edgeface.detect import Face

SCHEMA_FILE = "events.schema.json"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened; the first six keys are there in every event."""

    type: Annotated[Subject, msgspec.Meta(description="What happened.")]
    time: Annotated[
        str, msgspec.Meta(description="When, UTC, as RFC 3339: 2026-01-31T12:00:00.000Z.")
    ]
    track: Annotated[
        int | None,
        msgspec.Meta(description="Number of the face's track; null for what is about no face."),
    ]
    name: Annotated[
        str | None, msgspec.Meta(description="The person; null when unknown or about no face.")
    ]
    score: Annotated[
        float | None,
        msgspec.Meta(description="Best score of the agreeing looks: a cosine, -1 to 1."),
    ]
    threshold: Annotated[
        float | None, msgspec.Meta(description="The score that was needed at that time.")
    ]
    id: Annotated[str, msgspec.Meta(description="The same for every delivery of this event.")]
    source: Annotated[str, msgspec.Meta(description="The camera, stream or file.")]
    box: Annotated[
        tuple[float, float, float, float] | None,
        msgspec.Meta(description="The face: x, y, width, height in pixels of the frame."),
    ] = None
    quality: Annotated[float | None, msgspec.Meta(description="Fitness of the face, 0 to 1.")] = (
        None
    )
    message: Annotated[
        str | None, msgspec.Meta(description="A sentence for a person, for incidents.")
    ] = None


def face_event(
    kind: Subject,
    source: str,
    track: int,
    face: Face,
    quality: float,
    verdict: tuple[str | None, float, float],
) -> Event:
    """An event about a face; `verdict` is name, score and threshold."""
    name, score, threshold = verdict
    x, y, width, height = (round(edge, 1) for edge in face.box)
    return Event(
        type=kind,
        time=_now(),
        track=track,
        name=name,
        score=round(score, 4),
        threshold=round(threshold, 4),
        id=uuid.uuid4().hex,
        source=source,
        box=(x, y, width, height),
        quality=round(quality, 3),
    )


def incident(kind: Subject, source: str, message: str) -> Event:
    """An event about the service itself."""
    return Event(
        type=kind,
        time=_now(),
        track=None,
        name=None,
        score=None,
        threshold=None,
        id=uuid.uuid4().hex,
        source=source,
        message=message,
    )


def to_json(event: Event) -> bytes:
    """The event as one line of JSON, without the line's end."""
    return msgspec.json.encode(event)


def schema() -> dict[str, Any]:
    """The JSON Schema of an event, as shipped in `events.schema.json`."""
    found = msgspec.json.schema(Event)
    inner: dict[str, Any] = found["$defs"]["Event"]
    inner["description"] = "An event of `edgeface run`: one JSON object a line."
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **inner}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
