"""Events to an MQTT broker, with Home Assistant's discovery.

Takes in events, publishes each as JSON with quality of service 1 and lets it go once the broker has
confirmed it. `TOPIC/status` is "online", and "offline" as last will. Home Assistant finds by itself
a sensor "last person seen" and a trigger "recognized".

`TOPIC/event` is a log and gets every event. `TOPIC/trigger` is what opens doors: a recognition is
published there while it is fresh, once or never, in a way that no broker keeps for later.
`TOPIC/person` is what the broker keeps: the last recognition, until that person is removed.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import time
from typing import Any

from edgeface.errors import ConfigError
from edgeface.events import Event, to_json
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Left, SinkError
from edgeface.sinks.settings import MqttSettings
from edgeface.system.secret import Secret

_ANSWER = 5.0  # seconds that the broker may take to connect or to confirm
_KEEP_ALIVE = 20  # seconds of silence after which either side asks whether the other is there
_REST = 0.2  # seconds between looks at the connection
_UNSUPPORTED = 132  # CONNACK's reason: the broker does not speak this version (MQTT 5, 3.2.2.2)


class _OtherProtocol(Exception):
    """The broker does not speak MQTT 5."""


class Mqtt:
    """A connection to one broker, made when first needed and again when it breaks."""

    name = "mqtt"
    acts = False

    def __init__(self, settings: MqttSettings) -> None:
        try:
            from paho.mqtt import client as paho
        except ImportError:
            raise ConfigError(
                "MQTT needs paho-mqtt; install it with: pip install 'edgeface[mqtt]'"
            ) from None
        self._settings = settings
        self._paho: Any = paho
        self._protocol = paho.MQTTv5  # until the broker turns out not to speak it
        self._client = self._new_client()
        self._connected = False
        self._triggered: str | None = None  # the last event on the trigger's topic
        self._shown: str | None = None  # whom the broker keeps, as far as it was us

    def _new_client(self) -> Any:
        settings = self._settings
        client = self._paho.Client(
            self._paho.CallbackAPIVersion.VERSION2,
            client_id=settings.client,
            protocol=self._protocol,
            reconnect_on_failure=False,
        )
        if settings.user is not None:
            named = settings.password_file
            password = Secret.named(named).open() if named else None
            client.username_pw_set(settings.user, password)
        if settings.tls:
            try:
                client.tls_set_context(ssl.create_default_context(cafile=settings.ca))
            except OSError as error:
                raise ConfigError(f"mqtt.ca: cannot read {settings.ca} ({error})") from None
        client.will_set(self._topic("status"), "offline", qos=1, retain=True)
        return client

    def deliver(self, event: Event, picture: Picture | None, left: Left) -> None:
        self._connect()
        if event.type == "person_removed":
            self._forget(event.name)
        if event.type not in self._settings.events:
            return
        patience = _ANSWER
        if event.type == "recognized" and event.id != self._triggered and left() > 0:
            self._trigger(event, left())
            # Until something after it is confirmed it may still be on its way; see _drop.
            patience = min(_ANSWER, left())
        self._publish(self._topic("event"), to_json(event), patience=patience)
        if event.type == "recognized":
            self._publish(self._topic("person"), to_json(event), retain=True)
            self._shown = event.name

    def idle(self) -> float:
        self._connect()
        self._turn(0.0)
        return _REST

    def close(self) -> None:
        if self._connected:
            with contextlib.suppress(SinkError):  # the broker has the last will besides
                self._publish(self._topic("status"), b"offline", retain=True)
            self._client.disconnect()
        self._drop(at_once=False)

    def _forget(self, name: str | None) -> None:
        """Clear the person whom the broker keeps, if it is this one, or may be: what an earlier
        run has left there is not known."""
        if self._shown in (None, name):
            self._publish(self._topic("person"), b"", retain=True)
            self._shown = None

    def _trigger(self, event: Event, left: float) -> None:
        """Publish what may open a door: not again, not kept, and by MQTT 5 with its last moment."""
        properties = None
        if self._protocol == self._paho.MQTTv5:
            properties = self._properties(MessageExpiryInterval=max(1, int(left)))
        topic = self._topic("trigger")
        self._publish(topic, to_json(event), qos=0, properties=properties, once=event.id)

    def _properties(self, **values: int) -> Any:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        made: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in values.items():
            setattr(made, name, value)
        return made

    def _connect(self) -> None:
        if self._connected:
            return
        try:
            self._open()
        except _OtherProtocol:
            self._protocol = self._paho.MQTTv311
            try:
                self._open()
            except SinkError:
                self._protocol = self._paho.MQTTv5  # it may just have been about to end
                raise
        self._connected = True
        self._announce()

    def _open(self) -> None:
        """One attempt to connect; _OtherProtocol if the broker does not speak MQTT 5."""
        settings = self._settings
        # A new client each time: the old one's unconfirmed messages are sent again by us.
        self._client = self._new_client()
        reasons: list[Any] = []
        self._client.on_connect = lambda *arguments: reasons.append(arguments[3])
        self._client.connect_timeout = _ANSWER
        try:
            self._client.connect(settings.host, settings.port, _KEEP_ALIVE)
        except (OSError, ValueError) as error:
            raise SinkError(f"no connection to {settings.host}:{settings.port} ({error})") from None
        deadline = time.monotonic() + _ANSWER
        while not reasons:
            broken = self._client.loop(0.1) != self._paho.MQTT_ERR_SUCCESS
            if not reasons and (broken or time.monotonic() > deadline):
                self._drop()
                if broken and self._protocol == self._paho.MQTTv5:
                    raise _OtherProtocol
                raise SinkError(f"{settings.host}:{settings.port} does not answer")
        if reasons[0].is_failure:
            self._drop()
            if reasons[0].value == _UNSUPPORTED and self._protocol == self._paho.MQTTv5:
                raise _OtherProtocol
            raise SinkError(f"{settings.host} refuses the connection: {reasons[0]}")

    def _announce(self) -> None:
        self._publish(self._topic("status"), b"online", retain=True)
        if self._settings.discovery is not None:
            for topic, entity in discovery(self._settings).items():
                self._publish(topic, json.dumps(entity).encode(), retain=True)

    def _publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        qos: int = 1,
        properties: Any = None,
        patience: float = _ANSWER,
        once: str | None = None,
    ) -> None:
        """Publish and wait for the broker's confirmation, or without one until it is on its way.

        once: the event that is not published a second time if this fails half-way.
        """
        try:
            sent = self._client.publish(
                topic, payload, qos=qos, retain=retain, properties=properties
            )
        except ValueError as error:
            raise ConfigError(f"mqtt: the topic {topic} cannot be used ({error})") from None
        if sent.rc != self._paho.MQTT_ERR_SUCCESS:
            self._drop()
            raise SinkError(f"the connection to {self._settings.host} broke")
        self._triggered = once or self._triggered
        deadline = time.monotonic() + patience
        while not sent.is_published():
            self._turn(0.1)
            if time.monotonic() > deadline:
                self._drop()
                raise SinkError(f"{self._settings.host} does not confirm an event")

    def _turn(self, wait: float) -> None:
        """Read and write what is due; SinkError when the connection is gone."""
        if self._client.loop(wait) != self._paho.MQTT_ERR_SUCCESS:
            self._drop()
            raise SinkError(f"the connection to {self._settings.host} broke")

    def _drop(self, *, at_once: bool = True) -> None:
        """Let go of the connection; at once: also of what the system still has to send, since a
        trigger must not arrive when the network comes back."""
        self._connected = False
        connection = self._client.socket()
        if connection is not None:
            with contextlib.suppress(OSError):
                if at_once:
                    connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
            connection.close()

    def _topic(self, last: str) -> str:
        return f"{self._settings.topic}/{last}"


def discovery(settings: MqttSettings) -> dict[str, dict[str, Any]]:
    """Home Assistant's discovery messages by topic: a sensor and a device trigger."""
    node = settings.client
    shared = {
        "device": {"identifiers": [node], "name": "EdgeFace", "manufacturer": "EdgeFace"},
        "origin": {"name": "edgeface"},
    }
    sensor = {
        **shared,
        "name": "Last person seen",
        "unique_id": f"{node}_last_person",
        "icon": "mdi:face-recognition",
        "state_topic": f"{settings.topic}/person",
        "value_template": "{{ value_json.name if value_json is defined else '' }}",
        "json_attributes_topic": f"{settings.topic}/person",
        "availability_topic": f"{settings.topic}/status",
    }
    trigger = {
        **shared,
        "automation_type": "trigger",
        "type": "recognized",
        "subtype": "face",
        "topic": f"{settings.topic}/trigger",
        "value_template": "{{ value_json.type }}",
        "payload": "recognized",
    }
    return {
        f"{settings.discovery}/sensor/{node}/last_person/config": sensor,
        f"{settings.discovery}/device_automation/{node}/recognized/config": trigger,
    }
