"""Home Assistant: each discovery message is one that it takes, and shows what happens."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from edgeface.events import to_json
from edgeface.sinks.door import DoorState
from edgeface.sinks.home_assistant import HAPPENED, discovery, person_key, states
from edgeface.sinks.settings import MqttSettings
from tests.helpers.home_assistant import check, component
from tests.helpers.sinks import event

SETTINGS = MqttSettings(host="x", topic="home/door", client="front")
STATE = DoorState(
    people=("ada", "Zoë O'Brien", "张伟", "a/b+c#d"),
    present=frozenset({"ada"}),
    locked=True,
    problem='the "gallery" is damaged',
    fps=12.5,
    temperature=51.0,
    model="facenet-int8.tflite",
    version="0.1.0",
)


def test_home_assistant_takes_every_message() -> None:
    messages = discovery(SETTINGS, STATE, faces=True)
    for topic, message in messages.items():
        check(topic, message)
    identifiers = [m["unique_id"] for m in messages.values() if "unique_id" in m]
    assert len(set(identifiers)) == len(identifiers)


def test_home_assistants_own_schemas_take_every_message() -> None:
    """Where its package is installed, which is too large for every run."""
    pytest.importorskip("homeassistant.components.mqtt", reason="homeassistant is not installed")
    for topic, message in discovery(SETTINGS, STATE, faces=True).items():
        kind = component(topic)
        if kind == "device_automation":
            module = importlib.import_module("homeassistant.components.mqtt.device_trigger")
            module.TRIGGER_DISCOVERY_SCHEMA({**message, "platform": "mqtt"})
        else:
            module = importlib.import_module(f"homeassistant.components.mqtt.{kind}")
            module.DISCOVERY_SCHEMA(message)


def of(kind: str, messages: dict[str, Any]) -> dict[str, Any]:
    return {t.split("/")[-2]: m for t, m in messages.items() if component(t) == kind}


def test_a_door_has_all_its_entities() -> None:
    messages = discovery(SETTINGS, STATE, faces=True)
    assert set(of("sensor", messages)) == {"last_person", "fps", "temperature", "version", "model"}
    assert of("event", messages)["happened"]["event_types"] == [*HAPPENED]
    present = {m["name"] for m in of("binary_sensor", messages).values()}
    assert present == {"Locked out", "Problem", *(f"{name} present" for name in STATE.people or ())}
    triggers = of("device_automation", messages)
    assert {m["subtype"] for m in triggers.values()} == {"face", *(STATE.people or ())}
    assert of("image", messages)["last_face"]["image_topic"] == "home/door/face"
    assert not of("image", discovery(SETTINGS, STATE))  # none without [snapshots]


def rendered(template: str, payload: bytes | str) -> str:
    """What Home Assistant makes of a payload."""
    jinja = pytest.importorskip("jinja2.sandbox", reason="jinja2 is not installed")
    environment = jinja.ImmutableSandboxedEnvironment()
    environment.filters["to_json"] = json.dumps
    made = environment.from_string(template).render(value_json=json.loads(payload))
    assert isinstance(made, str)
    return made


@pytest.mark.parametrize("kind", HAPPENED)
def test_an_event_becomes_the_entity_s(kind: str) -> None:
    entity = of("event", discovery(SETTINGS))["happened"]
    name = "ada" if kind == "recognized" else None
    shown = json.loads(rendered(entity["value_template"], to_json(event(kind, name))))
    assert shown["event_type"] == kind
    assert (shown["event_type"] in entity["event_types"], shown["name"]) == (True, name)


def test_the_state_is_shown_by_the_templates() -> None:
    messages = discovery(SETTINGS, STATE)
    payload = json.dumps(states(SETTINGS, STATE)["home/door/state"])
    sensors = {**of("sensor", messages), **of("binary_sensor", messages)}
    shown = {
        name: rendered(message["value_template"], payload)
        for name, message in sensors.items()
        if message["state_topic"] == "home/door/state"
    }
    assert shown == {
        "fps": "12.5",
        "temperature": "51.0",
        "version": "0.1.0",
        "model": "facenet-int8.tflite",
        "locked": "ON",
        "problem": "ON",
    }
    problem = sensors["problem"]["json_attributes_template"]
    assert json.loads(rendered(problem, payload)) == {"reason": STATE.problem}


def test_a_person_s_trigger_is_theirs_alone() -> None:
    triggers = of("device_automation", discovery(SETTINGS, STATE))
    of_one = triggers[f"recognized_{person_key('张伟')}"]
    assert of_one["topic"] == "home/door/trigger"
    for name in STATE.people or ():
        fires = rendered(of_one["value_template"], to_json(event(name=name))) == of_one["payload"]
        assert fires == (name == "张伟")


def test_presence_is_shown_by_person() -> None:
    shown = states(SETTINGS, STATE)
    for name in STATE.people or ():
        topic = f"home/door/present/{person_key(name)}"
        assert shown[topic] == ("ON" if name == "ada" else "OFF")
        sensor = of("binary_sensor", discovery(SETTINGS, STATE))[f"present_{person_key(name)}"]
        assert (sensor["state_topic"], sensor["name"]) == (topic, f"{name} present")
