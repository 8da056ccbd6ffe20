"""Loop: drives the pipeline, frame after frame, until it is asked to stop.

Takes in frames from a feed, hands events to the sinks and answers the requests at the desk. It
alone feeds systemd's watchdog. Its pace follows the scene (idle or not) and the heat of the
machine. Nothing but a defect of its own or a source that can never work ends it.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import edgeface
from edgeface.errors import ConfigError, EdgeFaceError
from edgeface.events import Event, EventType, incident
from edgeface.gallery.newest import STORE
from edgeface.liveness import account
from edgeface.pipeline.pictures import Picture
from edgeface.service.audit import AuditLog
from edgeface.service.config import Config, audit_path, state_folder
from edgeface.service.desk import Desk, Hooks
from edgeface.service.frame_result import FrameResult
from edgeface.service.lockout import Lockout
from edgeface.service.notify import NO_PICTURE, Notifier
from edgeface.service.outlets import build_outlets
from edgeface.service.people import People
from edgeface.service.permits import Permits
from edgeface.service.presence import Figures, Presence
from edgeface.service.turned import Turned
from edgeface.service.watch import Asked, Watch
from edgeface.sinks.door import Board, DoorState
from edgeface.sources import Frame, SourceEnded, is_live
from edgeface.sources.blind import Blindness
from edgeface.sources.feed import open_feed
from edgeface.system.clock import Clock
from edgeface.system.closing import Closing
from edgeface.system.thermal import Governor

_log = logging.getLogger("edgeface.service")
_FIRST_PICTURE = 30.0  # seconds for which systemd waits for it; a camera may still come later
_TICK = 0.25  # seconds that the loop waits at most before it looks after everything else


class Service(Closing):
    """Everything that `edgeface run` holds open. `stop` and `reload` may be called by signals."""

    def __init__(
        self, config: Config, notifier: Notifier, load: Callable[[], Config] | None = None
    ) -> None:
        """`load` reads the settings again for a reload."""
        self._config, self._notifier, self._load = config, notifier, load
        self._stopping = self._reload_asked = False
        self._struggling: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self.frames = self._events = 0
        self._frame_error: str | None = None
        self._rate = 0.0
        self._started = time.monotonic()
        self._people = People(config.recognition, _newest_store(config))
        self._watch = Watch(self._people, config.recognition, config.profile)
        self._governor = Governor(config.power.warm, config.power.hot)
        self._permits = Permits(config.recognition.gallery_path, _clock(config))
        self.desk = Desk(
            self._people,
            Lockout(config.lockout, store=_kept(config, "lockout.json")),
            config.recognition,
            config.profile,
            Hooks(self.status, self._reload_now, self._report),
            _audit_log(config),
            self._permits,
        )
        self._feed = open_feed(config.source)
        self._blindness = Blindness(config.source.blind_after)
        self._turned = Turned(self._people.pipeline, config.source)
        self._presence = Presence()
        self._trouble: str | None = None  # of the source, as last reported
        self._board, self._figures = Board(), Figures()
        self._outlets = build_outlets(config, self._sink_struggles, board=self._board)

    def stop(self) -> None:
        """Ask the loop to end."""
        self._stopping = True

    def reload(self) -> None:
        """Ask the loop to read its settings again."""
        self._reload_asked = True

    def run(self, most_frames: int | None = None) -> None:
        """Watch until stopped, the source ends, or `most_frames` frames are done.

        Raises EdgeFaceError when the source can never work.
        """
        begun = time.monotonic()
        _log.info("watching %s, %d people enrolled", self._feed.name, len(self._people))
        if self._config.liveness.profile is None and not self._config.profile.judged:
            _log.warning(
                "the source is a recording, so liveness is not judged; to judge it, choose "
                "--profile standard"
            )
        while not self._stopping and (most_frames is None or self.frames < most_frames):
            self._notifier.alive()
            if not self._notifier.is_ready and time.monotonic() - begun >= _FIRST_PICTURE:
                self._tell_ready()
            try:
                self._turn()
            except SourceEnded:
                break
        self._notifier.stopping()
        self._emit(self._watch.finish(self._feed.name))
        self.desk.close()

    def close(self) -> None:
        """End everything, the notifier last: the camera off, what waits delivered, outputs off."""
        self._feed.close()
        self._outlets.close()
        self._notifier.close()

    def _turn(self) -> None:
        """One frame, or none; it is let go of on return, so that the camera can be closed."""
        begun = time.monotonic()
        frame = self._feed.next(_TICK)
        self._look_after_everything_else()
        if frame is not None:
            self._work_on(frame)
            if not self._notifier.is_ready:
                self._tell_ready()
            self._pace(begun)

    def _tell_ready(self) -> None:
        """Tell systemd: with the first picture, or when it must not wait any longer. What the
        service does comes first, for who has waited for READY to read it."""
        self._notifier.status(self.summary(), at_once=True)
        self._notifier.ready()

    def _work_on(self, frame: Frame) -> None:
        busy = self.desk.busy
        challenge = not busy and not self.desk.lockout.door_left
        asked = Asked(eager=busy, judged=self.desk.judging, challenge=challenge)
        self.frames += 1
        try:
            result = self._watch.step(frame, frame.name or self._feed.name, asked)
        except EdgeFaceError as error:
            # Nobody is recognized in this frame; the next one may be another matter.
            if str(error) != self._frame_error:
                self._frame_error = str(error)
                _log.error("a frame was not judged: %s", error)
            self._show(frame)
            return
        self._frame_error = None
        if noticed := self._blindness.see(frame):
            blind, sentence = noticed
            told = f"{self._feed.name} {sentence}"
            self._trouble = told if blind else None
            self._report("source_blind" if blind else "source_back", told)
        if not self._watch.calm and (turned := self._turned.see(frame)):
            _log.warning("%s %s", self._feed.name, turned)
        self.desk.see(result)
        self._emit(result, frame.taken)
        self._show(frame)

    def _show(self, frame: Frame) -> None:
        """Show the frame to who watches, if anybody does."""
        if self.desk.viewers.waiting:
            self.desk.viewers.show(frame.picture, self._watch.shown)

    def _emit(self, result: FrameResult, seen: float | None = None) -> None:
        for event, picture in result.events:
            if event.name is not None and self.desk.lockout.left(event.name):
                self._watch.untold(event.name)  # reported when attempts are taken again
                continue
            given, instead = self._permits.judge(event)
            self._put(given, picture, seen, instead)
            self._count(event)

    def _count(self, event: Event) -> None:
        """Who is refused at the door counts as a refused attempt where the settings say so."""
        rules, lockout = self._config.lockout, self.desk.lockout
        if event.name is not None:
            lockout.accepted(event.name)
        failed = event.challenge is not None and event.challenge.state == "failed"
        spoof = event.type == "not_live" and event.liveness == "spoof"
        unknown = event.type == "unknown" and rules.count_unknown
        if unknown or ((failed or spoof) and rules.count_spoof):
            locked = lockout.refused(still=event.box)
            if locked is not None:
                self._report("lockout", locked)

    def _put(
        self,
        event: Event,
        picture: Picture | None = None,
        seen: float | None = None,
        instead: Mapping[str, Event] | None = None,
    ) -> None:
        self._events += 1
        self._outlets.put(event, picture, seen, instead)

    def _report(self, kind: EventType, message: str, name: str | None = None) -> None:
        """Log and emit an incident; `name` is the person whom it is about, if anyone."""
        (_log.warning if kind == "lockout" else _log.info)("%s: %s", kind, message)
        self._put(incident(kind, self._feed.name, message, name))

    def _look_after_everything_else(self) -> None:
        """News of the source and the sinks, settings, the gallery, requests."""
        for notice in self._feed.notices():
            self._trouble = notice.message if notice.lost else None
            self._report("source_lost" if notice.lost else "source_back", notice.message)
        while not self._struggling.empty():
            name, trouble = self._struggling.get_nowait()
            self._report("sink_failed", f"{name}: {trouble}")
        if self._reload_asked:
            self._reload_asked = False
            try:
                self._reload_now()
            except EdgeFaceError as error:
                _log.error("the settings stay as they were: %s", error)
        if self._people.refresh():
            _log.info("the gallery has changed: %d people", len(self._people))
            self._watch.gallery_changed()
            for name in self._people.take_removed():
                self._report("person_removed", f"{name} is no longer in the gallery", name)
        if restored := self._people.take_restored():
            self._report("gallery_restored", restored)
        if problem := self._people.take_problem():
            self._report("gallery_unusable", problem)
        self._permits.refresh()
        self._outlets.work()
        self.desk.work()
        self._show_state()
        self._notifier.status(self.summary())

    def _show_state(self) -> None:
        """Put on the board what sinks show of the door besides its events."""
        now, lockout = time.monotonic(), self.desk.lockout
        recognized = [
            name
            for name in self._watch.recognized
            if not lockout.left(name) and self._permits.allows(name, "mqtt")
        ]
        fps, temperature = self._figures.at(now, self._rate, self._governor.temperature)
        struggling = [
            f"{outlet.name}: {outlet.trouble}"
            for outlet in self._outlets.outlets
            if outlet.trouble and outlet.name != "mqtt"
        ]
        self._board.show(
            DoorState(
                people=self._people.names,
                present=self._presence.at(now, recognized),
                locked=lockout.longest_left > 0,
                problem=self._people.problem
                or self._permits.problem
                or self._trouble
                or (f"{self._feed.name} {turned}" if (turned := self._turned.sentence) else None)
                or next(iter(struggling), None),
                fps=fps,
                temperature=temperature,
                model=self._people.model_name,
                version=edgeface.__version__,
            )
        )

    def _pace(self, begun: float) -> None:
        """Wait until the next frame is due; files as fast as possible are never waited for."""
        config = self._config
        if is_live(config.source):
            idle = self._watch.calm and not self.desk.busy
            rate = min(config.source.fps, config.power.idle_fps) if idle else config.source.fps
            due = begun + 1 / (rate * self._governor.share())
            while not self._stopping and (left := due - time.monotonic()) > 0:
                time.sleep(min(left, _TICK))
                self._notifier.alive()
        passed = max(1e-6, time.monotonic() - begun)
        self._rate += 0.1 * (1 / passed - self._rate)

    def _reload_now(self) -> None:
        """Read the settings and go on with them; EdgeFaceError leaves the old in force."""
        if self._load is None:
            raise EdgeFaceError("the service was started without a settings file: restart it")
        self._notifier.reloading()
        try:
            self._use(self._load())
        finally:
            self._notifier.ready()
        _log.info("the settings have been read again")

    def _use(self, config: Config) -> None:
        old = self._config
        if (config.control, config.audit) != (old.control, old.audit):
            raise ConfigError(
                "a changed [control] or [audit] needs a restart (sudo systemctl restart edgeface); "
                "all settings stay as they were"
            )
        feed = None
        if config.source != old.source and not is_live(config.source):
            feed = open_feed(config.source)  # may fail, with nothing changed yet
        others = config.recognition != old.recognition or not self._people.uses(config.recognition)
        if others:
            try:
                self._people.use(config.recognition)
            except EdgeFaceError:
                if feed is not None:
                    feed.close()
                raise
        place = (config.recognition.gallery_path, config.rules)
        if place != (old.recognition.gallery_path, old.rules):
            self._permits.use(config.recognition.gallery_path, _clock(config))
        if others or (config.source, config.profile) != (old.source, old.profile):
            self._emit(self._watch.finish(self._feed.name))
            self._watch = Watch(self._people, config.recognition, config.profile)
            self._turned = Turned(self._people.pipeline, config.source)
        if config.source != old.source:
            self._blindness = Blindness(config.source.blind_after)
            self._feed.close()  # before the new one: a camera can be open once
            self._feed = feed or open_feed(config.source)
        self._governor = Governor(config.power.warm, config.power.hot)
        self.desk.rules, self.desk.profile = config.recognition, config.profile
        self.desk.lockout.rules = config.lockout
        self._outlets = build_outlets(
            config, self._sink_struggles, (old, self._outlets), self._board
        )
        self._config = config

    def summary(self) -> str:
        """What it does, in a line."""
        people = len(self._people)
        pace = f"{self._rate:.0f} fps"
        if not self.frames:
            pace = f"{NO_PICTURE} ({self._trouble})" if self._trouble else NO_PICTURE
        return (
            f"watching {self._feed.name}, {pace}, {people} {'person' if people == 1 else 'people'}"
            + (", nobody is recognized: the gallery cannot be used" if self._people.problem else "")
        )

    def status(self) -> dict[str, Any]:
        """What it does, for `edgeface status`."""
        return {
            "status": self.summary(),
            "source": self._feed.name,
            "frames": self.frames,
            "fps": round(self._rate, 1),
            "people": len(self._people),
            "gallery_problem": self._people.problem,
            "rules_problem": self._permits.trouble,
            "rotation_needed": self._turned.advice,
            "profile": self._config.profile.value,
            "in_view": [
                {"track": track, "name": name, "liveness": account(verdict)["liveness"]}
                for track, name, verdict in self._watch.in_view
            ],
            "events": self._events,
            "uptime_s": round(time.monotonic() - self._started, 1),
            "temperature_c": self._governor.temperature,
            "locked_s": round(self.desk.lockout.longest_left, 1),
            "sinks": [
                {
                    "name": outlet.name,
                    "delivered": outlet.delivered,
                    "waiting": outlet.waiting,
                    "lost": outlet.lost,
                    "trouble": outlet.trouble,
                }
                for outlet in self._outlets.reported
            ],
        }

    def _sink_struggles(self, name: str, trouble: str) -> None:
        """Called by the sinks' threads; the loop reports it."""
        self._struggling.put((name, trouble))


def _kept(config: Config, name: str) -> Path | None:
    """Where something survives a restart; nowhere for a recording that nobody can ask about."""
    if config.control is None and not is_live(config.source):
        return None
    return state_folder(config) / name


def _newest_store(config: Config) -> Path | None:
    """Where the gallery's newest state is kept; a trial's gallery may be begun again at will."""
    return _kept(config, STORE) if config.control is not None else None


def _clock(config: Config) -> Clock:
    return Clock(trusted=config.rules.clock == "trusted")


def _audit_log(config: Config) -> AuditLog | None:
    """Administering is by the control socket alone, so without one there is nothing to record."""
    return AuditLog(audit_path(config), config.audit.age) if config.control is not None else None
