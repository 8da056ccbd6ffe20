"""MQTT against a real mosquitto broker on loopback."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeface.cli import main
from edgeface.service.config import load_config
from edgeface.service.loop import Service
from edgeface.service.notify import Notifier
from edgeface.service.outlets import build_outlets
from edgeface.sinks import Outlet
from edgeface.sinks.door import Board, DoorState
from edgeface.sinks.home_assistant import person_key
from edgeface.sinks.mqtt import Mqtt
from edgeface.sinks.settings import MqttSettings as Settings
from edgeface.system.units import Seconds
from edgeface.verifier import FaceVerifier
from tests.conftest import CHECKOUT, PORTRAITS
from tests.helpers import servers
from tests.helpers.command import call
from tests.helpers.service import portrait_video
from tests.helpers.sinks import Clock, event, free_port, wait_until

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
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


class Through:
    """The way to the broker: it notes which version of MQTT is spoken, and may refuse MQTT 5, be
    shut, or take nothing for a while, as a network does that is away: what its sender gives up
    meanwhile was never on its way."""

    def __init__(self, broker: int, refuse_5: bool = False) -> None:
        self.versions: list[int] = []
        self.holding = self.shut = False
        self._refuse_5, self._broker = refuse_5, broker
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if self.shut:
                return
            hello = client.recv(4096)  # CONNECT: ... "MQTT", version
            self.versions.append(hello[hello.index(b"MQTT") + 4])
            if self.versions[-1] == 5 and self._refuse_5:
                return
            with socket.create_connection(("127.0.0.1", self._broker)) as broker:
                broker.sendall(hello)
                self._pass_on(client, broker)

    def _pass_on(self, client: socket.socket, broker: socket.socket) -> None:
        while True:
            for ready in select.select([client, broker], [], [], 0.1)[0]:
                while ready is client and self.holding:
                    time.sleep(0.01)
                if given_up(ready):
                    return
                data = ready.recv(65536)
                if not data:
                    return
                (broker if ready is client else client).sendall(data)

    def close(self) -> None:
        self._listener.close()


def given_up(connection: socket.socket) -> bool:
    """Whether the other side has reset the connection."""
    poll = select.poll()
    poll.register(connection, 0)
    return any(state & select.POLLERR for _, state in poll.poll(0))


class Listener:
    """Hears everything on the broker; with a `name`, the broker keeps for it what it misses."""

    def __init__(
        self, port: int, tls: str | None = None, user: str | None = None, name: str = ""
    ) -> None:
        self.heard: list[tuple[str, Any]] = []
        ready = threading.Event()
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=name, clean_session=not name
        )
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

    def ids(self, topic: str = "door/event") -> list[str]:
        return [json.loads(payload)["id"] for t, payload in self.heard if t == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    yield made
    made.stop()


def outlet(settings: Settings, clock: Callable[[], float] = time.monotonic) -> Outlet:
    return Outlet(
        lambda: Mqtt(settings),
        "mqtt",
        settings.events,
        settings.queue,
        freshness=settings.freshness,
        clock=clock,
    )


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
    assert trigger["topic"] == "door/trigger"
    opened = json.loads(listener.last("door/trigger") or b"")
    assert (opened["type"], opened["id"]) == (trigger["payload"], one.id)
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


@pytest.mark.parametrize("speaks_5", [True, False])
def test_what_waited_for_the_broker_is_logged_and_opens_nothing(
    tmp_path: Path, speaks_5: bool
) -> None:
    broker = Broker(tmp_path)
    through = Through(broker.port, refuse_5=not speaks_5)
    clock = Clock()
    sink = outlet(Settings(host="127.0.0.1", port=through.port, topic="door"), clock)
    first = event()
    sink.put(first)
    wait_until(lambda: sink.delivered == 1)
    assert through.versions[-1] == (5 if speaks_5 else 4)
    through.shut = True
    broker.stop()
    wait_until(lambda: sink.trouble)
    waiting = [event(name=f"person {number}") for number in range(7)]
    for one in waiting:
        sink.put(one)
    clock.now += 60
    broker.start()
    listener = Listener(broker.port)
    through.shut = False
    wait_until(lambda: sink.delivered == 8)
    now = event()
    sink.put(now)
    wait_until(lambda: now.id in listener.ids())  # published after what it triggers
    assert set(listener.ids()) == {one.id for one in (*waiting, now)}
    assert listener.ids("door/trigger") == [now.id]
    sink.close()
    listener.close()
    through.close()
    broker.stop()


@pytest.mark.parametrize("speaks_5", [True, False])
def test_the_broker_keeps_no_trigger_for_who_is_away(tmp_path: Path, speaks_5: bool) -> None:
    broker = Broker(tmp_path, "allow_anonymous true\nqueue_qos0_messages true\n" * speaks_5
                    + "allow_anonymous true\n" * (not speaks_5))  # fmt: skip
    through = Through(broker.port, refuse_5=not speaks_5)
    away = Listener(broker.port, name="home")
    away.close()
    short = Seconds(1.0)
    sink = outlet(
        Settings(host="127.0.0.1", port=through.port, topic="door", freshness=short, discovery=None)
    )
    one = event()
    sink.put(one)
    wait_until(lambda: sink.delivered == 1)
    time.sleep(3.1)  # the broker counts whole seconds, by a clock of its own
    back = Listener(broker.port, name="home")
    wait_until(lambda: one.id in back.ids())
    marker = event()
    sink.put(marker)
    wait_until(lambda: marker.id in back.ids("door/trigger"))
    assert back.ids("door/trigger") == [marker.id]
    sink.close()
    back.close()
    through.close()
    broker.stop()


def test_a_trigger_that_is_stuck_in_the_network_never_arrives(broker: Broker) -> None:
    through = Through(broker.port)
    listener = Listener(broker.port)
    sink = outlet(
        Settings(host="127.0.0.1", port=through.port, topic="door", freshness=Seconds(0.5))
    )
    wait_until(lambda: listener.last("door/status") == b"online")
    through.holding = True
    one = event()
    sink.put(one)
    wait_until(lambda: sink.trouble)  # long before the five seconds that an answer may take
    through.holding = False
    wait_until(lambda: one.id in listener.ids())
    assert listener.ids("door/trigger") == []
    sink.close()
    listener.close()
    through.close()


def test_a_person_who_is_removed_leaves_the_broker(broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        'topic = "door"\nevents = ["recognized"]\n'
    )
    listener = Listener(broker.port)
    with build_outlets(load_config(file), lambda *_: None) as outlets:
        outlets.put(event(name="ada"))
        outlets.put(event("person_removed", "bob"))
        wait_until(lambda: outlets.outlets[1].delivered == 2)
        assert json.loads(listener.last("door/person") or b"")["name"] == "ada"
        outlets.put(event("person_removed", "ada"))
        wait_until(lambda: listener.last("door/person") == b"")
        outlets.put(event(name="joe"))
        wait_until(lambda: listener.last("door/person"))
    # What an earlier run has left is not known, so it goes in any case.
    with build_outlets(load_config(file), lambda *_: None) as outlets:
        outlets.put(event("person_removed", "joe"))
        wait_until(lambda: listener.last("door/person") == b"")
    late = Listener(broker.port)
    wait_until(lambda: late.last("door/status"))
    assert late.last("door/person") is None
    assert {json.loads(p)["type"] for t, p in listener.heard if t == "door/event"} == {"recognized"}
    late.close()
    listener.close()


def test_a_reload_that_changes_the_broker_s_table_loses_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    file, nobody = tmp_path / "s.toml", free_port()
    table = '[mqtt]\nhost = "127.0.0.1"\ntopic = "door"\nport = '
    file.write_text(f"{table}{nobody}\n")
    old = load_config(file)
    outlets = build_outlets(old, lambda *_: None)
    waiting = [event() for _ in range(3)]
    for one in waiting:
        outlets.put(one)
    listener = Listener(broker.port)
    file.write_text(f"{table}{broker.port}\n")
    with build_outlets(load_config(file), lambda *_: None, (old, outlets)) as renewed:
        wait_until(lambda: renewed.outlets[1].delivered == 3)
        wait_until(lambda: len(set(listener.ids())) == 3)
        assert renewed.outlets[1].lost == 0
    assert list(dict.fromkeys(listener.ids())) == [one.id for one in waiting]
    listener.close()


def test_trouble_names_its_sink_once(tmp_path: Path) -> None:
    reported: list[str] = []
    settings = Settings(host="127.0.0.1", port=free_port(), topic="door")
    sink = Outlet(lambda: Mqtt(settings), "mqtt", ["recognized"], 9, reported.append)
    wait_until(lambda: reported)
    sink.close()
    assert not reported[0].startswith("mqtt")
    assert sink.trouble == reported[0]


def test_two_doors_that_know_no_better_do_not_throw_each_other_out(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "front")
    one = outlet(Settings(host="127.0.0.1", port=broker.port))
    listener = Listener(broker.port)
    wait_until(lambda: listener.last("edgeface/front/status") == b"online")
    monkeypatch.setattr(socket, "gethostname", lambda: "back")
    other = outlet(Settings(host="127.0.0.1", port=broker.port))
    wait_until(lambda: listener.last("edgeface/back/status") == b"online")
    for _ in range(3):
        one.put(event())
        other.put(event())
    wait_until(lambda: one.delivered == other.delivered == 3)
    assert one.trouble is other.trouble is None
    assert [p for t, p in listener.heard if t == "edgeface/front/status"] == [b"online"]
    # Two of one name all the same: one says so, and leaves the connection to the other.
    same = outlet(Settings(host="127.0.0.1", port=broker.port, client="edgeface-front"))
    wait_until(lambda: "calls itself edgeface-front" in f"{one.trouble} {same.trouble}")
    for sink in (one, other, same):
        sink.close()
    listener.close()


def test_the_service_shows_who_is_present(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    gallery, video = tmp_path / "gallery", portrait_video(tmp_path / "door.avi", "obama")
    FaceVerifier(gallery).enroll("ada", [PORTRAITS / "obama.jpg"])
    FaceVerifier(gallery).enroll("joe", [PORTRAITS / "biden.jpg"])
    file = tmp_path / "edgeface.toml"
    file.write_text(
        f'[source]\nspec = "{video}"\nloop = true\n[recognition]\ngallery = "{gallery}"\n'
        f'[liveness]\nprofile = "convenience"\n[mqtt]\nhost = "127.0.0.1"\n'
        f'port = {broker.port}\ntopic = "door"\nclient = "front"\n'
    )
    listener = Listener(broker.port)
    with Service(load_config(file), Notifier()) as service:
        running = threading.Thread(target=service.run)
        running.start()
        try:
            wait_until(lambda: listener.last(f"door/present/{person_key('ada')}") == b"ON")
            assert listener.last(f"door/present/{person_key('joe')}") == b"OFF"
            state = json.loads(listener.last("door/state") or b"")
            assert (state["problem"], state["model"]) == (None, "facenet-int8.tflite")
        finally:
            service.stop()
            running.join()
    listener.close()


def test_the_broker_shows_the_state_of_the_door_and_nobody_who_has_gone(
    broker: Broker, tmp_path: Path
) -> None:
    settings = Settings(host="127.0.0.1", port=broker.port, topic="door", client="front")
    board, listener = Board(), Listener(broker.port)
    ada, joe = (f"door/present/{person_key(name)}" for name in ("ada", "joe"))
    sensor = f"homeassistant/binary_sensor/front/present_{person_key('joe')}/config"
    board.show(DoorState(people=("ada", "joe"), present=frozenset({"ada"}), fps=5.0))
    sink = Outlet(lambda: Mqtt(settings, board), "mqtt", settings.events, 9)
    sink.put(event(name="joe"))
    wait_until(lambda: (listener.last(ada), listener.last(joe)) == (b"ON", b"OFF"))
    wait_until(lambda: listener.last(sensor) and listener.last("door/person"))
    board.show(DoorState(people=("ada", "joe"), locked=True, problem="it rains"))
    wait_until(lambda: listener.last(ada) == b"OFF")
    state = json.loads(listener.last("door/state") or b"")
    assert (state["locked"], state["problem"]) == (True, "it rains")
    sink.close()
    # Joe is removed while the service is off: what the broker kept of him goes at the next start.
    board = Board()
    board.show(DoorState(people=("ada",)))
    sink = Outlet(lambda: Mqtt(settings, board), "mqtt", settings.events, 9)
    wait_until(lambda: listener.last(sensor) == b"")
    sink.close()
    late = Listener(broker.port)
    wait_until(lambda: late.last(ada))
    assert {joe, sensor, "door/person"}.isdisjoint(t for t, _ in late.heard)
    late.close()
    # And all of it with the service, as the package's removal and `service uninstall` do.
    file = tmp_path / "edgeface.toml"
    file.write_text(
        f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\ntopic = "door"\nclient = "front"\n'
    )
    done = call(main, "service", "forget", "--config", file)
    assert (done.status, done.stderr) == (0, "")
    assert "edgeface service forget" in (CHECKOUT / "packaging/debian/prerm").read_text()
    late = Listener(broker.port)
    late.heard.clear()
    late._client.publish("end", b"x", qos=1)
    wait_until(lambda: late.last("end"))
    assert late.heard == [("end", b"x")]
    late.close()
    listener.close()


def test_everything_is_published_again_when_home_assistant_starts(broker: Broker) -> None:
    settings = Settings(host="127.0.0.1", port=broker.port, topic="door", client="front")
    board, listener = Board(), Listener(broker.port)
    board.show(DoorState(people=("ada",)))
    sink = Outlet(lambda: Mqtt(settings, board), "mqtt", settings.events, 9)
    present, config = (
        f"door/present/{person_key('ada')}",
        "homeassistant/event/front/happened/config",
    )
    wait_until(lambda: listener.last(present) and listener.last(config))
    listener.heard.clear()
    listener._client.publish("homeassistant/status", b"online")
    wait_until(lambda: listener.last(present) and listener.last(config))
    sink.close()
    listener.close()


def test_what_happens_is_shown_once_with_the_face_where_snapshots_are_kept(
    broker: Broker,
) -> None:
    settings = Settings(host="127.0.0.1", port=broker.port, topic="door", client="front")
    picture = np.full((40, 40, 3), 90, np.uint8)
    for faces in ((), ("recognized",)):
        listener = Listener(broker.port)
        sink = Outlet(lambda f=faces: Mqtt(settings, None, f), "mqtt", settings.events, 9)  # type: ignore[misc]
        for kind in ("unknown", "not_live", "lockout", "recognized"):
            sink.put(event(kind, "ada" if kind == "recognized" else None), picture)
        wait_until(lambda: sink.delivered == 4)  # noqa: B023 (called before the next pass)
        wait_until(lambda: len(listener.ids()) == 4)  # noqa: B023
        assert listener.ids("door/happened") == listener.ids()
        assert listener.ids("door/trigger") == listener.ids()[-1:]
        face = listener.last("door/face")
        assert (face is not None) == bool(faces)
        assert face is None or face.startswith(b"\xff\xd8")
        sink.close()
        listener.close()


def test_without_discovery_nothing_is_there_for_home_assistant(broker: Broker) -> None:
    listener = Listener(broker.port)
    board = Board()
    board.show(DoorState(people=("ada",)))
    config = "homeassistant/event/front/happened/config"
    for discovery in ("homeassistant", False):
        settings = Settings(
            host="127.0.0.1", port=broker.port, topic="door", client="front", discovery=discovery
        )
        sink = Outlet(lambda s=settings: Mqtt(s, board), "mqtt", ["recognized"], 9)  # type: ignore[misc]
        sink.put(event())
        wait_until(lambda: sink.delivered == 1)  # noqa: B023 (called before the next pass)
        wait_until(lambda: (listener.last(config) != b"") == bool(settings.discovery))  # noqa: B023
        sink.close()
    late = Listener(broker.port)
    wait_until(lambda: late.last("door/person"))
    assert not [topic for topic, _ in late.heard if topic.startswith("homeassistant/")]
    late.close()
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
