"""Events: what the service reports, in one documented form.

Takes in verdicts and incidents, hands on `Event`s, which are JSON objects on the way out. An event
never holds a picture or an embedding. `events.schema.json` beside this module is its JSON Schema.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

import msgspec

from edgeface.liveness import LivenessVerdict, Status, account
from edgeface.pipeline.detect import Face

SCHEMA_FILE = "events.schema.json"

EventType = Literal[
    "recognized",
    "unknown",
    "not_live",
    "not_permitted",
    "prompt",
    "challenge",
    "lockout",
    "gallery_restored",
    "gallery_unusable",
    "person_enrolled",
    "person_removed",
    "settings_changed",
    "source_lost",
    "source_back",
    "source_blind",
    "sink_failed",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)


class Prompt(msgspec.Struct, frozen=True):
    """The state of a challenge."""

    state: Annotated[Literal["running", "passed", "failed"], msgspec.Meta(description="Its state.")]
    step: Annotated[int, msgspec.Meta(description="Gestures that were answered.")]
    of: Annotated[int, msgspec.Meta(description="Gestures that are asked for in all.")]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened; the first eight keys are in every event."""

    type: Annotated[EventType, msgspec.Meta(description="What happened.")]
    time: Annotated[
        str, msgspec.Meta(description="When, UTC, as RFC 3339: 2026-01-31T12:00:00.000Z.")
    ]
    track: Annotated[
        int | None,
        msgspec.Meta(description="Number of the face's track; null where no face is concerned."),
    ]
    name: Annotated[
        str | None, msgspec.Meta(description="The person; null when unknown or about no face.")
    ]
    score: Annotated[
        float | None,
        msgspec.Meta(description="Best score of the agreeing observations: a cosine, -1 to 1."),
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
        str | None,
        msgspec.Meta(
            description="A sentence for a person: an incident, or what to do at the camera."
        ),
    ] = None
    liveness: Annotated[
        Literal["live", "spoof", "undetermined", "not judged"] | None,
        msgspec.Meta(description="What the face was found to be; null where none is concerned."),
    ] = None
    reason: Annotated[
        str | None, msgspec.Meta(description="Why, a sentence; null where it was not judged.")
    ] = None
    cues: Annotated[
        dict[str, float] | None,
        msgspec.Meta(description="Scores of the liveness cues; null where it was not judged."),
    ] = None
    challenge: Annotated[
        Prompt | None, msgspec.Meta(description="The state of the challenge that is prompted for.")
    ] = None


def face_event(
    kind: EventType,
    source: str,
    track: int,
    face: Face,
    quality: float,
    verdict: tuple[str | None, float, float],
    liveness: LivenessVerdict | None = None,
    message: str | None = None,
) -> Event:
    """An event about a face; `verdict` is name, score and threshold, `liveness` None where it was
    not judged."""
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
        message=message,
        **account(liveness),
    )


def challenge_event(
    source: str, track: int, status: Status, liveness: LivenessVerdict | None
) -> Event:
    """What to show to the person who is challenged. It names nobody: nobody is verified yet."""
    prompt = Prompt(status.state.value, status.step, status.of)
    return _asking("challenge", source, track, status.prompt, liveness, prompt)


def prompt_event(source: str, track: int, message: str, liveness: LivenessVerdict) -> Event:
    """What to ask of a person who has not been found alive yet. It names nobody."""
    return _asking("prompt", source, track, message, liveness)


def _asking(
    kind: EventType,
    source: str,
    track: int,
    message: str,
    liveness: LivenessVerdict | None,
    challenge: Prompt | None = None,
) -> Event:
    return Event(
        type=kind,
        time=_now(),
        track=track,
        name=None,
        score=None,
        threshold=None,
        id=uuid.uuid4().hex,
        source=source,
        message=message,
        challenge=challenge,
        **account(liveness),
    )


def incident(kind: EventType, source: str, message: str, name: str | None = None) -> Event:
    """An event about the service itself, or about a change to the person `name`."""
    return Event(
        type=kind,
        time=_now(),
        track=None,
        name=name,
        score=None,
        threshold=None,
        id=uuid.uuid4().hex,
        source=source,
        message=message,
    )


def to_json(event: Event) -> bytes:
    """The event as one line of JSON, without the newline."""
    return msgspec.json.encode(event)


def schema() -> dict[str, Any]:
    """The JSON Schema of an event, as shipped in `events.schema.json`."""
    definitions = msgspec.json.schema(Event)["$defs"]
    inner: dict[str, Any] = definitions.pop("Event")
    inner["description"] = "An event of `edgeface run`: one JSON object per line."
    inner["$defs"] = definitions
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **inner}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
