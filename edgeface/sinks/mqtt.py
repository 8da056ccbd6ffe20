"""Events to an MQTT broker, with Home Assistant's discovery.

Takes in events, publishes each as JSON with quality of service 1 and lets it go once the broker has
confirmed it. `TOPIC/status` is "online", and "offline" as last will. What Home Assistant shows of
the door it finds by itself (home_assistant.py), and again whenever it starts.

`TOPIC/event` is a log and gets every event. `TOPIC/trigger` is what opens doors: a recognition is
published there while it is fresh, once or never, in a way that no broker keeps for later; so are
`TOPIC/happened` and `TOPIC/face`. The broker keeps `TOPIC/person`, the last recognition, and the
door's state. On every connection it is asked what it keeps of this door: whatever is about somebody
who is not enrolled any more is cleared, whoever published it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from typing import Any

import cv2
import msgspec

from edgeface.errors import ConfigError
from edgeface.events import Event, to_json
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Left, SinkError
from edgeface.sinks.door import Board, DoorState
from edgeface.sinks.home_assistant import HAPPENED, discovery, states
from edgeface.sinks.settings import MqttSettings
from edgeface.system.secret import Secret

_ANSWER = 5.0  # seconds that the broker may take to connect or to confirm
_KEEP_ALIVE = 20  # seconds of silence after which either side asks whether the other is there
_SHORT = 10.0  # seconds: a connection that breaks sooner was hardly one
_STOLEN = 3  # short ones in a row: two clients of one name throw each other out
_TRUCE = 30.0  # seconds for which the other one is left alone then
_REST = 0.2  # seconds between looks at the connection
_UNSUPPORTED = 132  # CONNACK's reason: the broker does not speak this version (MQTT 5, 3.2.2.2)


class _OtherProtocol(Exception):
    """The broker does not speak MQTT 5."""


class Mqtt:
    """A connection to one broker, made when first needed and again when it breaks."""

    name = "mqtt"
    acts = False

    def __init__(
        self, settings: MqttSettings, board: Board | None = None, faces: tuple[str, ...] = ()
    ) -> None:
        """`board` is where the service shows its state; `faces` the types of events whose picture
        is published, too."""
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
        self._board, self._faces = board or Board(), faces
        self._triggered: str | None = None  # the last event on the trigger's topic
        self._shown: str | None = None  # whom the broker keeps, as far as it was us
        self._kept: dict[str, bytes] = {}  # what the broker keeps of this door, as far as known
        self._seen: DoorState | None = None  # the state whose messages have been published
        self._born = False  # whether Home Assistant has started since everything was published
        self._since, self._short = 0.0, 0  # when it connected, by monotonic(); short connections
        self._not_before = 0.0  # when the next attempt to connect may be made, by monotonic()

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
        if event.type in HAPPENED and event.id != self._triggered and left() > 0:
            self._happen(event, picture, left())
            # Until something after it is confirmed it may still be on its way; see _drop.
            patience = min(_ANSWER, left())
        self._publish(self._topic("event"), to_json(event), patience=patience)
        if event.type == "recognized":
            self._keep(self._topic("person"), to_json(event))
            self._shown = event.name

    def idle(self) -> float:
        self._connect()
        self._turn(0.0)
        if self._born:
            self._born = False
            self._publish_all()
        self._show()
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
            self._keep(self._topic("person"), b"")
            self._shown = None

    def _happen(self, event: Event, picture: Picture | None, left: float) -> None:
        """Publish what may open a door: not again, not kept, and by MQTT 5 with its last moment."""
        properties = None
        if self._protocol == self._paho.MQTTv5:
            properties = self._properties(MessageExpiryInterval=max(1, int(left)))
        fresh = {"happened": to_json(event)}
        if event.type == "recognized":
            fresh = {"trigger": to_json(event), **fresh}
        if event.type in self._faces and picture is not None and picture.size:
            fresh["face"] = cv2.imencode(".jpg", picture)[1].tobytes()
        for last, payload in fresh.items():
            self._publish(
                self._topic(last),
                payload,
                qos=0,
                properties=properties,
                patience=min(_ANSWER, left),
                once=event.id,
            )

    def _show(self) -> None:
        """Publish what has changed of the door's state, and clear what the broker keeps of people
        who are not enrolled any more."""
        state = self._board.state
        if state is None or state is self._seen:
            return
        wanted = self._messages(state)
        for topic, payload in wanted.items():
            self._keep(topic, payload)
        for topic in [topic for topic in self._kept if self._about_somebody_gone(topic, state)]:
            self._keep(topic, b"")
        if state.people is not None:
            for topic in [topic for topic in self._kept if self._is_left_over(topic, wanted)]:
                self._keep(topic, b"")
        self._seen = state

    def _messages(self, state: DoorState | None) -> dict[str, bytes]:
        """Everything that the broker keeps of this door and that its state decides."""
        made: dict[str, Any] = {} if state is None else states(self._settings, state)
        if self._settings.discovery is not None:
            made |= discovery(self._settings, state, faces=bool(self._faces))
        return {
            topic: value.encode() if isinstance(value, str) else json.dumps(value).encode()
            for topic, value in made.items()
        }

    def _about_somebody_gone(self, topic: str, state: DoorState) -> bool:
        if topic != self._topic("person") or state.people is None:
            return False
        try:
            return msgspec.json.decode(self._kept[topic])["name"] not in state.people
        except (msgspec.DecodeError, KeyError, TypeError):
            return True

    def _is_left_over(self, topic: str, wanted: Mapping[str, bytes]) -> bool:
        return topic not in wanted and topic not in (self._topic("person"), self._topic("status"))

    def _keep(self, topic: str, payload: bytes) -> None:
        """Have the broker keep a payload, or none where it is empty, unless it does already."""
        if self._kept.get(topic) == payload:
            return
        self._publish(topic, payload, retain=True)
        self._kept.pop(topic, None)
        if payload:
            self._kept[topic] = payload

    def _hear(self, message: Any) -> None:
        """What the broker keeps of this door, and Home Assistant's birth."""
        if message.topic == f"{self._settings.discovery}/status":
            self._born = self._born or (not message.retain and message.payload == b"online")
        elif message.retain and message.payload:
            self._kept[message.topic] = bytes(message.payload)

    def clear(self) -> None:
        """Clear everything that the broker keeps of this door; SinkError where it cannot be."""
        if not self._connected:
            self._open()
            self._connected = True
        self._ask_what_is_kept()
        # Confirmed after everything that the broker keeps has come, as it answers in turn.
        self._publish(self._topic("status"), b"", retain=True)
        for topic in tuple(self._kept):
            self._keep(topic, b"")
        self._client.disconnect()
        self._drop(at_once=False)

    def _ask_what_is_kept(self) -> None:
        """Subscribe, and wait until everything that the broker keeps has come."""
        topics = [f"{self._topic('present')}/+", self._topic("person"), self._topic("state")]
        prefix = self._settings.discovery or "homeassistant"
        topics.append(f"{prefix}/+/{self._settings.node}/+/config")
        if self._settings.discovery is not None:
            topics.append(f"{prefix}/status")
        self._kept, self._seen = {}, None
        done: list[object] = []
        self._client.on_message = lambda _client, _data, message: self._hear(message)
        self._client.on_subscribe = lambda *_: done.append(True)
        # Without confirmation: a broker sends only a few confirmed messages at a time.
        sent, _ = self._client.subscribe([(topic, 0) for topic in topics])
        deadline = time.monotonic() + _ANSWER
        while sent == self._paho.MQTT_ERR_SUCCESS and not done:
            self._turn(0.1)
            if time.monotonic() > deadline:
                break  # a broker that forbids it keeps what it keeps

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
        if time.monotonic() < self._not_before:
            raise SinkError(self._often_broken)
        try:
            self._open()
        except _OtherProtocol:
            self._protocol = self._paho.MQTTv311
            try:
                self._open()
            except SinkError:
                self._protocol = self._paho.MQTTv5  # it may just have been about to end
                raise
        self._connected, self._since = True, time.monotonic()
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
        self._ask_what_is_kept()
        # Confirmed after everything that the broker keeps has come, as it answers in turn.
        self._publish(self._topic("status"), b"online", retain=True)
        for topic, payload in self._messages(self._board.state).items():
            self._keep(topic, payload)

    def _publish_all(self) -> None:
        """Everything again, for a Home Assistant that has just started."""
        for topic, payload in self._messages(self._board.state).items():
            self._kept.pop(topic, None)
            self._keep(topic, payload)

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
            self._short = self._short + 1 if time.monotonic() - self._since < _SHORT else 0
            if self._short >= _STOLEN:
                self._not_before = time.monotonic() + _TRUCE
                raise SinkError(self._often_broken)
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

    @property
    def _often_broken(self) -> str:
        return (
            f"{self._settings.host} ends the connection again and again; if another client calls "
            f"itself {self._settings.client}, give each door a client of its own in [mqtt]"
        )

    def _topic(self, last: str) -> str:
        return f"{self._settings.topic}/{last}"
