"""Trial: an unknown network is opened and run in a process of its own before it is in this one.

Takes in a model that does not belong to this version, hands on nothing: it came through, or
ModelError. TFLite checks little of what a file says, so that a crafted one can end the process that
opens it; here that is a child without secrets, with limits on its time and memory. What came
through once with this runtime is noted by its hash and not tried again. It judges no embedding.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from edgeface.errors import EdgeFaceError, ModelError
from edgeface.pipeline.model_file import Model
from edgeface.pipeline.network_file import NetworkFile
from edgeface.pipeline.runtime import RUNTIMES, choose_runtime, open_network
from edgeface.system.homes import own_folder

_LONGEST = 60.0  # seconds; FaceNet takes half a second here, a few on a Pi Zero 2 W
_MOST_MEMORY = 2 << 30  # address space, of which shared libraries and thread stacks are the most
_CAME_THROUGH = "came through"
_CHILD = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from edgeface.pipeline.trial import run_child; run_child(sys.argv[1], int(sys.argv[2]))"
)
_INHERITED = ("PATH", "EDGEFACE_RUNTIME", "LD_LIBRARY_PATH")  # no secret is among them


def try_out(model: Model) -> None:
    """Return once the network was opened and run in a child; ModelError where it was not."""
    if model.shipped:
        return
    notes = _notes()
    note = notes / f"{model.sha256}-{_runtime()}" if notes is not None else None
    if note is not None and note.exists():
        return
    advice = "use another copy, or convert it again"
    try:
        file = model.file or NetworkFile(model.path)
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", _CHILD, str(model.path), str(file.handle), *sys.path],
            pass_fds=(file.handle,),
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"the model file {model.path} does not answer within {_LONGEST:.0f} seconds; {advice}"
        ) from None
    except OSError as error:
        raise ModelError(
            f"the model file {model.path} cannot be tried in a process of its own "
            f"({error.strerror}), so it is not used"
        ) from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ModelError(f"the model file {model.path} crashes the runtime ({name}); {advice}")
    if done.stdout.strip() != _CAME_THROUGH:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(reason)
    _note(note)


def run_child(path: str, handle: int) -> None:
    """What the child does with an open file: open the network, run it on black and on noise, say
    that it came through."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        pass  # the service's unit allows no change of limits; it has MemoryMax for that
    try:
        network = open_network(NetworkFile(Path(path), handle), threads=1)
        taken = network.inputs[0]
        pixels = np.random.default_rng(0).integers(0, 127, taken.shape).astype(taken.dtype)
        for picture in (np.zeros_like(pixels), pixels):
            network.input_view()[...] = picture
            network.run()
            for position in range(len(network.outputs)):
                if not np.isfinite(network.output_view(position)).all():
                    raise ModelError(
                        f"the model file {path} gives numbers that are not finite; "
                        "use another copy, or convert it again"
                    )
    except EdgeFaceError as error:
        sys.exit(str(error))
    except Exception as error:
        sys.exit(f"the model file {path} cannot be run ({type(error).__name__}); use another copy")
    print(_CAME_THROUGH)


def _runtime() -> str:
    """The runtime's name and version: what one runs may crash another."""
    name = choose_runtime()
    try:
        return f"{name}-{version(RUNTIMES[name].replace('_', '-'))}"
    except PackageNotFoundError:
        return name


def _notes() -> Path | None:
    """Where it is noted what came through: the service's state folder, else the user's, who may
    have none."""
    state = os.environ.get("STATE_DIRECTORY")
    if state:
        return Path(state.split(":")[0]) / "tried-models"
    own = own_folder("state")
    return own / "edgeface" / "tried-models" if own is not None else None


def _note(note: Path | None) -> None:
    if note is None:
        return
    try:
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        note.touch(mode=0o600)
    except OSError:
        pass  # it is tried again the next time
