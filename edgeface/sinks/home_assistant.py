"""Home Assistant: what its MQTT discovery needs to know to show a door.

Takes in the settings and the state of the door, hands on messages by topic: the entities and the
triggers, and the states that they show. It connects to nobody. Names of people are part of what an
entity is called, never of a topic, which takes few characters.
"""

from __future__ import annotations

import hashlib
from typing import Any

from edgeface.sinks.door import DoorState
from edgeface.sinks.settings import MqttSettings, host_name

HAPPENED = ("recognized", "unknown", "not_live", "lockout")
"""The types of the event entity."""
_MOST_PEOPLE = 200  # who get entities of their own; everybody is recognized all the same
_DIAGNOSTIC = {"entity_category": "diagnostic"}

Messages = dict[str, Any]


def person_key(name: str) -> str:
    """What stands for a person in topics and identifiers."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def discovery(
    settings: MqttSettings, state: DoorState | None = None, *, faces: bool = False
) -> Messages:
    """The discovery messages by topic; `faces`: whether pictures of faces are published."""
    prefix, node = settings.discovery, settings.node
    entities = {**_entities(settings, faces), **_of_people(settings, state)}
    return {
        f"{prefix}/{kind}/{node}/{object_id}/config": {
            **_shared(settings, state, kind, object_id),
            **entity,
        }
        for (kind, object_id), entity in entities.items()
    }


def states(settings: MqttSettings, state: DoorState) -> Messages:
    """The states that the entities show, by topic: a text, or an object."""
    shown: Messages = {
        f"{settings.topic}/state": {
            "locked": state.locked,
            "problem": state.problem,
            "fps": state.fps,
            "temperature": state.temperature,
            "model": state.model,
            "version": state.version,
        }
    }
    if settings.discovery is not None:
        for name in _shown_people(state):
            here = "ON" if name in state.present else "OFF"
            shown[f"{settings.topic}/present/{person_key(name)}"] = here
    return shown


def _shown_people(state: DoorState | None) -> tuple[str, ...]:
    """Who has entities of their own."""
    people = () if state is None or state.people is None else state.people
    return people[:_MOST_PEOPLE]


def _shared(
    settings: MqttSettings, state: DoorState | None, kind: str, object_id: str
) -> dict[str, Any]:
    device = {
        "identifiers": [settings.node],
        "name": f"EdgeFace {host_name()}",
        "manufacturer": "EdgeFace",
    }
    origin = {"name": "edgeface"}
    if state is not None:
        device |= {"model": state.model, "sw_version": state.version}
        origin["sw_version"] = state.version
    shared = {"device": device, "origin": origin}
    if kind == "device_automation":  # which has neither
        return shared
    return {
        **shared,
        "unique_id": f"{settings.node}_{object_id}",
        "availability_topic": f"{settings.topic}/status",
    }


def _entities(settings: MqttSettings, faces: bool) -> dict[tuple[str, str], dict[str, Any]]:
    topic = settings.topic
    state = {"state_topic": f"{topic}/state"}
    found: dict[tuple[str, str], dict[str, Any]] = {
        ("sensor", "last_person"): {
            "name": "Last person seen",
            "icon": "mdi:face-recognition",
            "state_topic": f"{topic}/person",
            "value_template": "{{ value_json.name if value_json is defined else '' }}",
            "json_attributes_topic": f"{topic}/person",
        },
        ("event", "happened"): {
            "name": "Face",
            "icon": "mdi:face-recognition",
            "state_topic": f"{topic}/happened",
            "event_types": [*HAPPENED],
            "value_template": "{{ dict(value_json, event_type=value_json.type) | to_json }}",
        },
        ("binary_sensor", "locked"): {
            **state,
            "name": "Locked out",
            "icon": "mdi:lock-alert",
            "value_template": "{{ 'ON' if value_json.locked else 'OFF' }}",
        },
        ("binary_sensor", "problem"): {
            **state,
            **_DIAGNOSTIC,
            "name": "Problem",
            "device_class": "problem",
            "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
            "json_attributes_topic": f"{topic}/state",
            "json_attributes_template": "{{ {'reason': value_json.problem} | to_json }}",
        },
        ("sensor", "fps"): {
            **state,
            **_DIAGNOSTIC,
            "name": "Frames per second",
            "unit_of_measurement": "fps",
            "state_class": "measurement",
            "value_template": "{{ value_json.fps }}",
        },
        ("sensor", "temperature"): {
            **state,
            **_DIAGNOSTIC,
            "name": "Temperature",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
            "value_template": "{{ value_json.temperature }}",
        },
        ("sensor", "version"): {
            **state,
            **_DIAGNOSTIC,
            "name": "Version",
            "value_template": "{{ value_json.version }}",
        },
        ("sensor", "model"): {
            **state,
            **_DIAGNOSTIC,
            "name": "Model",
            "value_template": "{{ value_json.model }}",
        },
        ("device_automation", "recognized"): _trigger(
            settings, "face", "{{ value_json.type }}", "recognized"
        ),
    }
    if faces:
        found["image", "last_face"] = {
            "name": "Last face",
            "image_topic": f"{topic}/face",
            "content_type": "image/jpeg",
        }
    return found


def _of_people(
    settings: MqttSettings, state: DoorState | None
) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name in _shown_people(state):
        key = person_key(name)
        found["binary_sensor", f"present_{key}"] = {
            "name": f"{name} present",
            "device_class": "presence",
            "state_topic": f"{settings.topic}/present/{key}",
        }
        found["device_automation", f"recognized_{key}"] = _trigger(
            settings, name, "{{ value_json.name }}", name
        )
    return found


def _trigger(settings: MqttSettings, subtype: str, template: str, payload: str) -> dict[str, Any]:
    return {
        "automation_type": "trigger",
        "type": "recognized",
        "subtype": subtype,
        "topic": f"{settings.topic}/trigger",
        "value_template": template,
        "payload": payload,
    }
