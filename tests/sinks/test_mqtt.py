"""MQTT against a real mosquitto broker on loopback."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeface.sinks import Outlet
from edgeface.sinks.mqtt import Mqtt
from edgeface.sinks.settings import MqttSettings as Settings
from tests.helpers import servers
from tests.helpers.sinks import event, free_port, wait_until

paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")


class Broker:
    """A mosquitto of our own that can be stopped and started on the same port."""

    def __init__(self, folder: Path, extra: str = "allow_anonymous true\n") -> None:
        self.port = free_port()
        self._file = folder / "mosquitto.conf"
        self._file.write_text(f"listener {self.port} 127.0.0.1\n{extra}")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [servers.required("mosquitto"), "-c", str(self._file)],
            env=servers.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers)

    def _answers(self) -> bool:
        import socket

        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


class Listener:
    """Hears everything on the broker."""

    def __init__(self, port: int, tls: str | None = None, user: str | None = None) -> None:
        self.heard: list[tuple[str, Any]] = []
        ready = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if tls:
            self._client.tls_set(tls)
        if user:
            self._client.username_pw_set(user, "pass word")
        self._client.on_connect = lambda c, *_: c.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = lambda _c, _u, m: self.heard.append((m.topic, m.payload))
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("localhost" if tls else "127.0.0.1", port)
        self._client.loop_start()
        assert ready.wait(60)

    def last(self, topic: str) -> bytes | None:
        return next((payload for t, payload in reversed(self.heard) if t == topic), None)

    def ids(self) -> list[str]:
        return [json.loads(payload)["id"] for topic, payload in self.heard if topic == "door/event"]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    yield made
    made.stop()


def outlet(settings: Settings) -> Outlet:
    return Outlet(lambda: Mqtt(settings), "mqtt", settings.events, settings.queue)


def test_home_assistant_finds_a_sensor_and_a_trigger(broker: Broker) -> None:
    listener = Listener(broker.port)
    sink = outlet(Settings(host="127.0.0.1", port=broker.port, topic="door", client="front"))
    one = event()
    sink.put(one)
    wait_until(lambda: listener.last("door/person"))
    assert listener.last("door/status") == b"online"
    sensor = json.loads(listener.last("homeassistant/sensor/front/last_person/config") or b"")
    assert sensor["state_topic"] == "door/person"
    assert sensor["availability_topic"] == "door/status"
    assert json.loads(listener.last("door/person") or b"")["name"] == "ada"
    trigger = json.loads(
        listener.last("homeassistant/device_automation/front/recognized/config") or b""
    )
    assert trigger["topic"] == "door/event"
    assert json.loads(listener.last("door/event") or b"")["type"] == trigger["payload"]
    sink.close()
    wait_until(lambda: listener.last("door/status") == b"offline")
    listener.close()


def test_no_event_is_lost_when_the_broker_restarts(broker: Broker) -> None:
    sink = outlet(Settings(host="127.0.0.1", port=broker.port, topic="door"))
    before = event()
    sink.put(before)
    wait_until(lambda: sink.delivered == 1)
    broker.stop()
    waiting = [event() for _ in range(20)]
    for one in waiting:
        sink.put(one)
    wait_until(lambda: sink.trouble)
    broker.start()
    listener = Listener(broker.port)
    wait_until(lambda: len(set(listener.ids())) == 20)
    assert list(dict.fromkeys(listener.ids())) == [one.id for one in waiting]
    assert sink.lost == 0
    sink.close()
    listener.close()


def test_a_killed_service_leaves_its_last_will(broker: Broker, tmp_path: Path) -> None:
    listener = Listener(broker.port)
    code = (
        "import sys,time; from edgeface.sinks.settings import MqttSettings as S;"
        "from edgeface.sinks import Outlet;"
        "from edgeface.sinks.mqtt import Mqtt; s=S(host='127.0.0.1',port=int(sys.argv[1]),"
        "topic='door'); o=Outlet(lambda: Mqtt(s),'mqtt',s.events,9); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(broker.port)])
    wait_until(lambda: listener.last("door/status") == b"online")
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: listener.last("door/status") == b"offline")
    listener.close()


def test_user_and_password_are_needed_and_given(tmp_path: Path) -> None:
    tool = servers.required("mosquitto_passwd")
    passwords = tmp_path / "passwords"
    subprocess.run(
        [tool, "-b", "-c", passwords, "edge", "pass word"], check=True, env=servers.environment()
    )
    passwords.chmod(0o644)
    tmp_path.chmod(0o755)
    broker = Broker(tmp_path, f"allow_anonymous false\npassword_file {passwords}\nuser root\n")
    wrong = outlet(Settings(host="127.0.0.1", port=broker.port, topic="door"))
    wait_until(lambda: wrong.trouble and "refuses" in wrong.trouble)
    wrong.close()
    (tmp_path / "secret").write_text("pass word\n")
    listener = Listener(broker.port, user="edge")
    right = outlet(
        Settings(
            host="127.0.0.1",
            port=broker.port,
            topic="door",
            user="edge",
            password_file=str(tmp_path / "secret"),
        )
    )
    wait_until(lambda: listener.last("door/status") == b"online")
    right.close()
    listener.close()
    broker.stop()


def test_tls_is_checked_against_the_given_authority(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command to make a certificate with")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
         str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    broker = Broker(
        tmp_path,
        f"allow_anonymous true\ncertfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\n"
        "user root\n",
    )
    wrong = outlet(Settings(host="localhost", port=broker.port, tls=True, topic="door"))
    wait_until(lambda: wrong.trouble and "no connection" in wrong.trouble)
    wrong.close()
    authority = str(tmp_path / "cert.pem")
    listener = Listener(broker.port, tls=authority)
    right = outlet(
        Settings(host="localhost", port=broker.port, tls=True, ca=authority, topic="door")
    )
    wait_until(lambda: listener.last("door/status") == b"online")
    right.close()
    listener.close()
    broker.stop()
