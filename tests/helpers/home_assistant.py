"""What Home Assistant takes in its MQTT discovery, as its documentation says.

Takes in a discovery topic and its message, fails the test where Home Assistant would refuse or
ignore it. Written from the pages "MQTT", "MQTT Sensor", "MQTT Binary sensor", "MQTT Event", "MQTT
Image" and "MQTT Device trigger" of www.home-assistant.io/integrations; Home Assistant's own package
needs a hundred others.
"""

from __future__ import annotations

import re
from typing import Any

_TOPIC = re.compile(r"homeassistant/(\w+)/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)/config")
_SHARED = {"device", "origin"}
_ENTITY = {
    *("unique_id", "availability_topic", "name", "icon", "entity_category", "device_class"),
    *("json_attributes_topic", "json_attributes_template"),
}
_NEEDED: dict[str, set[str]] = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
    "image": {"image_topic"},
    "device_automation": {"automation_type", "type", "subtype", "topic"},
}
_MORE: dict[str, set[str]] = {
    "sensor": {"value_template", "unit_of_measurement", "state_class", *_ENTITY},
    "binary_sensor": {"value_template", "payload_on", "payload_off", *_ENTITY},
    "event": {"value_template", *_ENTITY} - {"entity_category"},
    "image": {"content_type", "image_encoding", *_ENTITY} - {"device_class"},
    "device_automation": {"payload", "qos", "value_template"},
}
_CLASSES = {"sensor": {"temperature"}, "binary_sensor": {"problem", "presence"}}
_CATEGORIES = {"diagnostic", "config"}
_DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version"}
_ORIGIN = {"name", "sw_version", "support_url"}


def component(topic: str) -> str:
    """The kind of entity that a discovery topic is about."""
    found = _TOPIC.fullmatch(topic)
    assert found is not None, f"Home Assistant does not listen at {topic}"
    return found[1]


def check(topic: str, message: dict[str, Any]) -> None:
    """Fail where Home Assistant does not take this message at this topic."""
    kind = component(topic)
    assert kind in _NEEDED, kind
    keys = set(message)
    assert keys >= _NEEDED[kind], (topic, _NEEDED[kind] - keys)
    assert keys <= _NEEDED[kind] | _MORE[kind] | _SHARED, keys
    assert set(message["device"]) <= _DEVICE
    assert message["device"]["identifiers"]
    assert {"name"} <= set(message["origin"]) <= _ORIGIN
    if kind != "device_automation":
        assert message["unique_id"]
        assert message["name"]
    else:
        assert message["automation_type"] == "trigger"
    assert message.get("device_class") in {None, *_CLASSES.get(kind, ())}
    assert message.get("entity_category") in {None, *_CATEGORIES}
    if "unit_of_measurement" in message and message.get("device_class") == "temperature":
        assert message["unit_of_measurement"] in {"°C", "°F", "K"}
    for key, value in message.items():
        if key.endswith("topic"):
            check_topic(value)


def check_topic(topic: str) -> None:
    """Fail where a topic is none that a message can be published to."""
    assert 0 < len(topic.encode()) < 65536
    assert not set(topic) & set("+#\0"), topic
    assert topic.isprintable(), topic
