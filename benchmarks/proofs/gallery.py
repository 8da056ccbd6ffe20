"""Proofs that a gallery survives kills, failing disks, power cuts, flipped bits, rivals and noise.

Each function does one experiment `count` times and returns its result; it raises AssertionError
when something acknowledged is lost. The tests run them small; `make prove-gallery` runs them at
full size and prints the figures that docs/gallery-format.md quotes.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from edgeface.errors import GalleryError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.file import DamagedGallery, read_contents, to_chunks
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.names import person_name
from edgeface.gallery.store import previous_of

NUMBERS = 32
TEMPLATES = 3
MODEL: Any = SimpleNamespace(
    identity="a" * 64,
    path=Path("model.tflite"),
    description=SimpleNamespace(embedding=SimpleNamespace(size=NUMBERS)),
)


def templates_of(name: str) -> np.ndarray:
    """Three unit vectors near each other, which only this name gives, shape (3, NUMBERS)."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal(NUMBERS) + 0.2 * generator.standard_normal(
        (TEMPLATES, NUMBERS)
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def enroll(path: Path, name: str) -> None:
    with GalleryChange.open(path, MODEL) as change:
        change.add(name, list(templates_of(name)))


def held(path: Path) -> set[str]:
    """The people of a gallery, each of whom must be complete and be found under their own name."""
    gallery = Gallery.open(path, MODEL)
    for name, templates in gallery.people:
        assert templates == TEMPLATES, f"{name} has {templates} templates"
        best = gallery.search(templates_of(name)[0])[0]
        assert best.name == name and best.score > 0.9, f"{name} was taken for {best}"
    return {name for name, _ in gallery.people}


def random_kills(folder: Path, count: int, seed: int = 0) -> str:
    """Kill a process that enrolls one person after another, at random moments."""
    chance, path = random.Random(seed), folder / "kills.safetensors"
    acknowledged: set[str] = set()
    for run in range(count):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                for number in range(1000):
                    enroll(path, f"{run}-{number}")
                    os.write(writer, f"{run}-{number}\n".encode())
            finally:
                os._exit(1)
        os.close(writer)
        time.sleep(chance.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reader) as lines:
            acknowledged |= set(lines.read().split())
        found = held(path)
        assert acknowledged <= found, f"lost after kill {run}: {acknowledged - found}"
        assert len(found - acknowledged) <= run + 1
        acknowledged = found
        if len(found) > 500:
            path.unlink()
            previous_of(path).unlink()
            acknowledged = set()
    return f"{count} kills, 0 losses"


def every_failure(folder: Path) -> str:
    """Let each write, fsync, rename and link fail in turn, in three ways, in three changes."""
    seen: Counter[str] = Counter()
    for way in ("error", "kill", "power cut"):
        for change, there, must, may in (
            ("first enroll", "", "", "c"),
            ("enroll", "ab", "ab", "abc"),
            ("remove", "ab", "a", "ab"),
        ):
            for failing in range(1, 100):
                path = folder / f"{way}-{change}-{failing}" / "gallery.safetensors"
                for name in there:
                    enroll(path, name)
                if not _fails(path, change, way, failing):
                    break
                seen[way] += 1
                found = held(path)
                assert set(must) <= found <= set(may), f"{way} {change} {failing}: {found}"
                enroll(path, "d")
                assert "d" in held(path)
                assert not list(path.parent.glob("*.unfinished"))
            else:
                raise AssertionError("the change never came to its end")
    return ", ".join(f"{count} by {way}" for way, count in seen.items()) + ": 0 losses"


def _fails(path: Path, change: str, way: str, failing: int) -> bool:
    """Do a change in a process whose operation number `failing` fails; False if there is no such
    operation. A removal comes through in spite of a full disk."""
    child = os.fork()
    if child == 0:
        status = 3
        try:
            with _failing_disk(path.parent, way, failing) as met:
                if change == "remove":
                    with GalleryChange.open(path, MODEL) as removal:
                        removal.remove(person_name("b"))
                else:
                    enroll(path, "c")
            status = 4 if met() else 0
        except GalleryError:
            status = 2
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 2, 4, 9), "it neither came through nor said why"
    if status in (0, 4):
        expected = {"a"} if change == "remove" else {"a", "b", "c"}
        assert held(path) in (expected, {"c"}), "acknowledged, but not there"
    return status != 0


@contextmanager
def _failing_disk(folder: Path, way: str, failing: int) -> Iterator[Callable[[], bool]]:
    """Count the disk's operations and let one fail: with ENOSPC or EIO, or by ending the process.

    A power cut also loses what was not brought to the disk: half of each file without fsync, and
    every rename since the folder's last fsync. Yields whether the failing operation was met.
    """
    done = 0
    unsynced: set[str] = set()
    undo: list[Callable[[], None]] = []
    real = {name: getattr(os, name) for name in ("write", "fsync", "replace", "link")}

    def lose_unsynced() -> None:
        for step in reversed(undo):
            step()
        for name in unsynced:
            if Path(name).exists():
                os.truncate(name, Path(name).stat().st_size // 2)

    def keep_copy(path: Path) -> None:
        old = path.read_bytes() if path.exists() else None

        def bring_back() -> None:
            path.unlink(missing_ok=True)  # the file under this name may have another name too
            if old is not None:
                path.write_bytes(old)

        undo.append(bring_back)

    def operation(kind: str) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done == failing:
                if way == "error":
                    code = errno.ENOSPC if kind == "write" else errno.EIO
                    raise OSError(code, os.strerror(code))
                if way == "power cut":
                    lose_unsynced()
                os._exit(9)
            if kind in ("write", "fsync"):
                name = os.readlink(f"/proc/self/fd/{arguments[0]}")
                if kind == "write":
                    unsynced.add(name)
                elif name == str(folder):
                    undo.clear()
                else:
                    unsynced.discard(name)
            else:
                keep_copy(folder / arguments[1])  # a name in the folder that is held open
            return real[kind](*arguments, **named)

        return act

    try:
        for name in real:
            setattr(os, name, operation(name))
        yield lambda: done >= failing
        if way == "power cut":  # the change was acknowledged: nothing of it may be lost now
            lose_unsynced()
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def bit_flips(folder: Path, count: int, seed: int = 0) -> str:
    """Flip one random bit of a gallery and open it, with and without an earlier generation."""
    chance, path = random.Random(seed), folder / "flips.safetensors"
    for name in ("ada", "bob", "cleo"):
        enroll(path, name)
    whole, earlier = path.read_bytes(), previous_of(path).read_bytes()
    seen: Counter[str] = Counter()
    for number in range(count):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        previous_of(path).unlink(missing_ok=True)
        if number % 2:
            previous_of(path).write_bytes(earlier)
        try:
            gallery = Gallery.open(path, MODEL)
        except DamagedGallery:
            seen["noticed"] += 1
            continue
        assert gallery.restored and number % 2, "a flipped bit went unnoticed"
        assert held(path) == {"ada", "bob"}
        seen["healed"] += 1
    return f"{count} flips: {seen['noticed']} noticed, {seen['healed']} healed, 0 missed"


def rivals(folder: Path, processes: int, each: int) -> str:
    """Several processes enroll at once."""
    path = folder / "rivals.safetensors"
    children = []
    for process in range(processes):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for number in range(each):
                    enroll(path, f"{process}-{number}")
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    people = len(held(path))
    assert people == processes * each
    return f"{processes} processes with {each} people each: {people} people"


def fuzz(folder: Path, count: int, seed: int = 0) -> str:
    """Open noise, changed galleries, and changed galleries whose digest was made to fit."""
    chance, path = random.Random(seed), folder / "fuzz.safetensors"
    for name in ("ada", "bob"):
        enroll(path, name)
    whole = path.read_bytes()
    seen: Counter[str] = Counter()
    for _ in range(count):
        path.write_bytes(_mutated(whole, chance))
        seen[outcome_of_opening(path)] += 1
    return f"{count} inputs: " + ", ".join(f"{number} {what}" for what, number in seen.items())


def outcome_of_opening(path: Path) -> str:
    """'refused' with a GalleryError, or 'valid': then it can be searched and written again."""
    try:
        contents = read_contents(path)
    except GalleryError:
        return "refused"
    assert b"".join(to_chunks(contents)) == path.read_bytes()
    previous_of(path).unlink(missing_ok=True)
    if contents.model_identity == MODEL.identity and contents.templates.shape[1] == NUMBERS:
        Gallery.open(path, MODEL).search(templates_of("ada")[0], most=2)
    return "valid"


def _mutated(whole: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(400))
    data = bytearray(whole[:-32])
    header = int.from_bytes(data[:8], "little") + 8
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(header if chance.random() < 0.6 else len(data))
        match chance.randrange(5):
            case 0:
                data[at : at + 1] = chance.randbytes(1)
            case 1:
                del data[at : at + chance.randint(1, 40)]
            case 2:
                data[at:at] = chance.choice((b"0", b"9" * 30, b"[" * 2000, b'"', b"\n", b"\xff"))
            case 3:
                other = chance.randrange(len(data))
                data[at : at + 8] = data[other : other + 8]
            case _:
                data[at : at + 4] = chance.choice((b"\x00" * 4, b"\xff" * 4, b"\x00\x00\xc0\x7f"))
        if len(data) < 16:
            break
    if chance.random() < 0.2:
        return bytes(data) + whole[-32:]
    return bytes(data) + hashlib.sha256(data).digest()


def sizes(folder: Path, people: int, templates: int) -> str:
    """Size, opening, search and memory of a gallery of 128 numbers, in a process of its own."""
    path = folder / f"{people}.safetensors"
    model = SimpleNamespace(**vars(MODEL))
    model.description = SimpleNamespace(embedding=SimpleNamespace(size=128))
    rows = np.random.default_rng(0).standard_normal((people, templates, 128), np.float32)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    with GalleryChange.open(path, model) as change:  # type: ignore[arg-type]
        change.add_people({f"person {i:07d}": rows[i] for i in range(people)})
    script = (
        "import sys, time; from types import SimpleNamespace as N; from pathlib import Path\n"
        "import numpy as np; from edgeface.gallery.gallery import Gallery\n"
        "model = N(identity='a' * 64, path=Path('m'), description=N(embedding=N(size=128)))\n"
        "start = time.perf_counter(); gallery = Gallery.open(Path(sys.argv[1]), model)\n"
        "opening = time.perf_counter() - start; times = []\n"
        "probe = np.full(128, 128 ** -0.5, np.float32)\n"
        "for _ in range(100):\n"
        "    start = time.perf_counter(); gallery.search(probe, 2)\n"
        "    times.append(time.perf_counter() - start)\n"
        "status = Path('/proc/self/status').read_text()\n"
        "peak = int(status.split('VmHWM:')[1].split()[0]) / 1024\n"
        "search = 1e3 * np.median(times)\n"
        "print(f'opened in {opening:.3f} s, searched in {search:.2f} ms, {peak:.0f} MiB at most')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    size = path.stat().st_size
    return (
        f"{people:,} people, {people * templates:,} templates: {size / 1e6:.2f} MB, "
        f"{size / people / templates:.0f} bytes a template with the names; {done.stdout.strip()}"
    )


def main() -> None:
    """All proofs at full size."""
    logging.disable(logging.CRITICAL)  # ten thousand restorations are announced otherwise
    with tempfile.TemporaryDirectory(prefix="edgeface-proofs-") as name:
        folder = Path(name).resolve()
        for label, proof in (
            ("size", lambda: sizes(folder, 10_000, 3)),
            ("size", lambda: sizes(folder, 333_334, 3)),
            ("SIGKILL at random moments", lambda: random_kills(folder, 1000)),
            ("every write, fsync, rename, link", lambda: every_failure(folder)),
            ("random bit flips", lambda: bit_flips(folder, 10_000)),
            ("rivals", lambda: rivals(folder, 4, 100)),
            ("fuzz", lambda: fuzz(folder, 100_000)),
        ):
            started = time.monotonic()
            print(f"{label}: {proof()} ({time.monotonic() - started:.0f} s)")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
