"""Doctor: looks at everything that the service needs, and says what to do about what is wrong.

Takes in the settings, hands on `Check`s. It changes nothing, and looks at the camera only when no
service holds it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from edgeface.decide import correction_for
from edgeface.errors import EdgeFaceError
from edgeface.gallery.encryption import find_key
from edgeface.gallery.file import read_contents
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.newest import STORE, Newest
from edgeface.gallery.store import Loaded
from edgeface.pipeline.detect import Detector
from edgeface.pipeline.model_file import load_model
from edgeface.pipeline.runtime import choose_runtime
from edgeface.service.audit import read_audit
from edgeface.service.client import ask, socket_path
from edgeface.service.config import SYSTEM_CONFIG, Config, audit_path, secrets_in, state_folder
from edgeface.service.install import CREDENTIALS, SETTINGS_MODE, UNIT
from edgeface.service.turned import Turned, advice
from edgeface.sources import open_source
from edgeface.system.thermal import hottest


@dataclass(frozen=True)
class Check:
    """One thing looked at; `advice` says what to do and is empty when there is nothing to do."""

    name: str
    ok: bool
    detail: str
    advice: str = ""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def examine(config: Config, settings: Path | None = None) -> list[Check]:
    """All checks, each independent of the others; `settings` is the file that `config` is from."""
    looks: dict[str, Callable[[Config], Check]] = {
        "settings": partial(_settings, settings),
        "runtime": _runtime,
        "model": _model,
        "gallery": _gallery,
        "camera": _camera,
        "service": _service,
        "audit": _audit,
        "temperature": _temperature,
    }
    return [_guarded(name, look, config) for name, look in looks.items()]


def _guarded(name: str, look: Callable[[Config], Check], config: Config) -> Check:
    """The check, or the error it met, whose sentence ends with what to do."""
    try:
        return look(config)
    except EdgeFaceError as error:
        detail, _, advice = str(error).partition("; ")
        return Check(name, False, detail, advice or detail)


def _settings(path: Path | None, config: Config) -> Check:
    """Whether secrets stand in the settings file, and who may read it and the secrets' folder."""
    if path is None:
        return Check("settings", True, "none, so the defaults")
    if not os.access(path, os.R_OK):
        return Check(
            "settings",
            False,
            f"you may not read {path}, so this looks at the defaults",
            "run: sudo edgeface doctor, or join the group edgeface",
        )
    secrets, troubles, advice = secrets_in(config), [], []
    if secrets:
        troubles.append(f"a secret stands in {path} as {' and '.join(secrets)}")
        advice.append(
            "write each into a file of /etc/edgeface/credentials (root, 0600) and name it as "
            '"credential:NAME"; user and password of a URL have keys of their own'
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~SETTINGS_MODE and (secrets or path == SYSTEM_CONFIG):
        troubles.append(f"{path} has the permissions {mode:04o}, wider than {SETTINGS_MODE:04o}")
        advice.append(f"close it: sudo chown root:edgeface {path}; sudo chmod 0640 {path}")
    for secret in _secret_files(config):
        mode = stat.S_IMODE(secret.stat().st_mode)
        if mode & 0o077:
            troubles.append(f"{secret} has the permissions {mode:04o}, though it holds a secret")
            advice.append(f"close it: sudo chmod go= {secret}")
    return Check("settings", not troubles, "; ".join(troubles) or str(path), "; ".join(advice))


def _secret_files(config: Config) -> list[Path]:
    """The folder of the credentials, and the files of secrets that the settings name by path."""
    found = [Path("/") / CREDENTIALS]
    for table, key in (("mqtt", "password_file"), ("webhook", "secret_file")):
        named = getattr(getattr(config, table), key, None)
        if named is not None and not named.startswith("credential:"):
            found.append(Path(named))
    return [path for path in found if os.path.exists(path)]  # not where it cannot be looked at


def _runtime(config: Config) -> Check:
    return Check("runtime", True, choose_runtime())


def _model(config: Config) -> Check:
    model = load_model(config.recognition.model_file)
    origin = f"shipped: {model.shipped}" if model.shipped else f"not shipped: {model.path.name}"
    detail = f"{origin}, sha256 {model.sha256}, {model.description.embedding.size} numbers"
    scores = model.description.scores
    if scores is not None and scores.measured:
        return Check("model", True, detail)
    return Check(
        "model",
        False,
        f"{detail}, thresholds not measured",
        f"measure them with: convert-model describe {model.path} --labelled FOLDER",
    )


def _gallery(config: Config) -> Check:
    path = config.recognition.gallery_path
    model = load_model(config.recognition.model_file)
    try:
        loaded = Loaded(read_contents(path, find_key()))  # as it is: nothing is restored by looking
    except FileNotFoundError:
        loaded = Loaded(None)
    gallery = Gallery(path, model, loaded)
    Newest(path, state_folder(config) / STORE).refuse_older(gallery)
    people = len(gallery)
    advice = "" if people else "add somebody with: edgeface enroll NAME PICTURE..."
    raised = correction_for(model, gallery).sentence
    detail = f"{people} people in {path}" + (f"; {raised}" if raised else "")
    return Check("gallery", True, detail, advice)


def _camera(config: Config) -> Check:
    if socket_path().exists():
        try:
            status = ask({"command": "status"})
        except EdgeFaceError:
            pass  # nobody listens any more, so the camera is free to be looked at
        else:
            detail = f"the service watches {status['source']}"
            return _mounted(detail, status.get("rotation_needed"), config)
    source = open_source(config.source)
    try:
        frame = source.read()
        height, width = frame.picture.shape[:2]
        turned = Turned(Detector(), config.source)
        turn = turned.best_turn(frame.picture)
        frame.release()
    finally:
        source.close()
    detail = f"{source.name} gives pictures of {width}x{height}"
    return _mounted(detail, turned.rotation(turn) if turn else None, config)


def _mounted(detail: str, rotation: int | None, config: Config) -> Check:
    """The check of a camera that works, which may be upside down or sideways."""
    if rotation is None:
        return Check("camera", True, detail)
    shows, _, advised = advice(rotation, config.source.rotation).partition("; ")
    return Check("camera", False, f"{detail}, but it {shows}", advised)


def _service(config: Config) -> Check:
    if socket_path().exists():
        answer = ask({"command": "status"})
        if problem := answer.get("gallery_problem"):  # as the running service sees it
            detail, _, advice = problem.rpartition("; ")
            return Check("service", False, f"it recognizes nobody: {detail or problem}", advice)
        if problem := answer.get("rules_problem"):
            detail, _, advice = problem.rpartition("; ")
            return Check("service", False, f"its rules open nothing: {detail or problem}", advice)
        return Check("service", True, str(answer["status"]))
    units = Path("/etc/systemd/system")
    # A package brings the unit with it; it counts as installed once it is to start at boot.
    if (units / UNIT).exists() or (units / "multi-user.target.wants" / UNIT).is_symlink():
        return Check(
            "service",
            False,
            "installed, but it does not run",
            "look at: journalctl -u edgeface -n 20, then: sudo systemctl start edgeface",
        )
    advice = "to watch the door at every boot: sudo edgeface service install"
    return Check("service", True, "not installed", advice)


def _audit(config: Config) -> Check:
    path = audit_path(config)
    if not os.access(path.parent, os.X_OK) or (path.exists() and not os.access(path, os.R_OK)):
        return Check("audit", True, f"you may not read {path}", "run: sudo edgeface doctor")
    records, problems = read_audit(path)
    if not problems:
        return Check("audit", True, f"{len(records)} records in {path}, none changed or removed")
    return Check(
        "audit",
        False,
        f"{path}: {problems[0]}" + (f", and {len(problems) - 1} more" if problems[1:] else ""),
        f"see: edgeface audit --file {path}, and compare it with: journalctl -u edgeface | grep "
        "record; find out who may write there; to begin a new log, move it and its head away",
    )


def _temperature(config: Config) -> Check:
    degrees = hottest()
    if degrees is None:
        return Check("temperature", True, "no sensor here")
    if degrees < config.power.hot:
        return Check("temperature", True, f"{degrees:.0f} degrees Celsius")
    return Check(
        "temperature",
        False,
        f"{degrees:.0f} degrees Celsius: the service runs at a fifth of its rate",
        "give the Pi a heat sink or a fan, or move it out of the sun",
    )
