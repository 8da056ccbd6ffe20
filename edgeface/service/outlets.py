"""Build: makes the sinks that the settings ask for, importing only those.

Takes in a `Config`, hands on `Outlets`. A changed file closes and opens only the sinks whose table
has changed; what still waits in one of them goes on to its successor, with the counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from edgeface.service.config import Config, history_path
from edgeface.sinks import FRESHNESS, First, Outlet, Outlets, Sink
from edgeface.sinks.door import Board

_log = logging.getLogger("edgeface.service")
_MAKERS = {
    "mqtt": "edgeface.sinks.mqtt:Mqtt",
    "webhook": "edgeface.sinks.webhook:Webhook",
    "exec": "edgeface.sinks.program:Program",
    "gpio": "edgeface.sinks.gpio:Gpio",
    "snapshots": "edgeface.sinks.snapshots:Snapshots",
}
# What a sink must hear of whatever the settings choose: who is removed leaves the broker, too.
_ALWAYS = {"mqtt": ("person_removed",)}
NETWORKED = ("mqtt", "webhook")


def build_outlets(
    config: Config,
    tell: Callable[[str, str], None],
    old: tuple[Config, Outlets] | None = None,
    board: Board | None = None,
) -> Outlets:
    """The sinks of `config`; those of `old` whose table is the same go on as they are.

    `tell` gets a sink's name and a sentence when it struggles. It is called by other threads.
    `board` is where the service shows its state.
    """
    board = board or Board()
    names = [name for name in ("stdout", *_MAKERS) if getattr(config, name) is not None]
    kept: dict[str, Outlet] = {}
    ended: dict[str, Outlet] = {}
    if old is not None:
        before, outlets = old
        for outlet in outlets.outlets:
            if _settings_of(outlet.name, before) == _settings_of(outlet.name, config):
                kept[outlet.name] = outlet
        ended = {outlet.name: outlet for outlet in outlets.outlets if outlet.name not in kept}
        Outlets([*ended.values()]).close()
    built = [kept.get(name) or _build(name, config, tell, board) for name in names]
    for outlet in built:
        if before_it := ended.pop(outlet.name, None):
            outlet.take_over(before_it)
    for outlet in ended.values():
        if outlet.waiting:
            _log.warning(
                "%s is off now: %d events that waited are lost", outlet.name, outlet.waiting
            )
    return Outlets(built, _history(config, tell, old))


def _history(
    config: Config, tell: Callable[[str, str], None], old: tuple[Config, Outlets] | None
) -> First | None:
    """What records the events before the sinks get them, where the settings ask for it."""
    before = old[1].first if old is not None else None
    if old is not None and before is not None:
        place = (old[0].history, history_path(old[0]))
        if place == (config.history, history_path(config)):
            return before
        before.close()
    if config.history is None:
        return None
    from edgeface.sinks.history import Recorder

    return Recorder(history_path(config), config.history, partial(tell, "history"))


def _settings_of(name: str, config: Config) -> tuple[Any, ...]:
    """Everything of the settings that a sink depends on."""
    return (getattr(config, name), _faces(config) if name == "mqtt" else None)


def _faces(config: Config) -> tuple[str, ...]:
    """The events whose picture may leave the service: none where the settings keep none."""
    return () if config.snapshots is None else config.snapshots.events


def _build(name: str, config: Config, tell: Callable[[str, str], None], board: Board) -> Outlet:
    settings = getattr(config, name)
    more = (board, _faces(config)) if name == "mqtt" else ()
    return Outlet(
        partial(_make, name, settings, *more),
        name,
        (*settings.events, *_ALWAYS.get(name, ())),
        settings.queue,
        partial(tell, name),
        getattr(settings, "freshness", FRESHNESS),
    )


def _make(name: str, settings: Any, *more: Any) -> Sink:
    """Runs in the sink's own thread, so a slow import or connection holds nobody up."""
    if name == "stdout":
        from edgeface.sinks.lines import Lines

        return Lines()
    module, _, kind = _MAKERS[name].partition(":")
    sink: Sink = getattr(import_module(module), kind)(settings, *more)
    return sink
