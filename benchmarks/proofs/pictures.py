"""Proof that hostile pictures end in a sentence: each container's header mutated, 100,000 times.

`hostile_pictures` feeds them to the pipeline's own reader, beside opened networks as in the
service, in processes whose memory the kernel measures; every hundredth goes through the command. It
raises AssertionError where one ends a process, takes more than 300 MB, or raises anything but
PictureError. The tests run it small; `make prove-pictures` runs it at full size.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

MOST_MB = 300
_BATCH = 5000  # pictures a process
_SIZES = (0, 1, 2, 99, 255, 4096, 4999, 5000, 16_383, 20_000, 65_500, 65_535, 1 << 24, 2**31 - 1)


def originals() -> list[bytes]:
    """Whole pictures of every kind that is read, and of some that are not."""
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    pixels = np.asarray(cv2.resize(pixels, (56, 40)), np.uint8)
    grey, alpha = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.cvtColor(pixels, cv2.COLOR_BGR2BGRA)
    deep = pixels.astype(np.uint16) * 257
    made = [
        cv2.imencode(suffix, picture, options)[1].tobytes()
        for suffix, picture, options in (
            (".jpg", pixels, []),
            (".jpg", grey, []),
            (".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
            (".jpg", pixels, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
            (".png", pixels, []),
            (".png", alpha, []),
            (".png", deep, []),
            (".png", grey, [cv2.IMWRITE_PNG_BILEVEL, 1]),
            (".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 80]),
            (".webp", alpha, [cv2.IMWRITE_WEBP_QUALITY, 80]),
            (".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 101]),
            (".bmp", pixels, []),
            (".bmp", grey, []),
            (".bmp", alpha, []),
            (".tiff", pixels, [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
            (".tiff", pixels, [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
            (".tiff", deep, [cv2.IMWRITE_TIFF_COMPRESSION, 8]),
            (".tiff", alpha, [cv2.IMWRITE_TIFF_COMPRESSION, 32773]),
            (".tiff", grey, [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
            (".ppm", pixels, []),
        )
    ]
    jpeg = made[0]
    exif = b"Exif\x00\x00" + struct.pack("<4sIHHHIII", b"II*\x00", 8, 1, 274, 3, 1, 6, 0)
    for body, marker in ((exif, b"\xff\xe1"), (jpeg, b"\xff\xe2")):
        made.append(jpeg[:2] + marker + struct.pack(">H", len(body) + 2) + body + jpeg[2:])
    return [*made, b"GIF89a" + bytes(40), bytes(4) + b"ftypavif" + bytes(40)]


def mutated(whole: bytes, chance: random.Random) -> bytes:
    """The picture with one to four changes, most of them in its header or its directory."""
    data = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        if len(data) < 16:
            break
        at = chance.randrange(min(len(data), chance.choice((32, 64, 200, 10_000))))
        if chance.random() < 0.2:  # a TIFF's directory is at its end
            at = len(data) - 1 - at
        order, letter = chance.choice("<>"), chance.choice("HI")
        number = chance.choice(_SIZES) & (0xFFFF if letter == "H" else 0xFFFFFFFF)
        match chance.randrange(6):
            case 0:
                data[at] = chance.randrange(256)
            case 1 | 2:
                field = struct.pack(order + letter, number)
                data[at : at + len(field)] = field
            case 3:
                length = chance.randint(1, 40)
                data[at:at] = data[max(0, at - length) : at]  # it says something twice
            case 4:
                del data[at : at + chance.randint(1, 12)]
            case _:
                del data[chance.randrange(len(data)) :]
    return bytes(data)


def hostile_pictures(count: int, seed: int = 0) -> str:
    """Read `count` mutated pictures in processes of their own; what was seen."""
    seen: Counter[str] = Counter()
    peak = 0.0
    for first in range(0, count, _BATCH):
        batch = (str(first + seed), str(min(count - first, _BATCH)))
        done = subprocess.run(
            [sys.executable, __file__, *batch], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"pictures {batch}: {done.returncode} {done.stderr[-2000:]}"
        assert not done.stderr, f"pictures {batch} wrote to stderr: {done.stderr[-2000:]}"
        result = json.loads(done.stdout)
        seen.update(result["seen"])
        peak = max(peak, result["peak_mb"])
        assert peak < MOST_MB, f"pictures {batch} took {peak:.0f} MB"
    outcomes = ", ".join(f"{number:,} {what}" for what, number in sorted(seen.items()))
    return f"{count:,} pictures: {outcomes}; {peak:.0f} MB at most"


def _read(first: int, count: int) -> None:
    """The child: read pictures `first` and following, print what was seen and the peak."""
    from edgeface.cli import main as command
    from edgeface.errors import PictureError
    from edgeface.pipeline.pictures import decode_picture
    from edgeface.pipeline.pipeline import FacePipeline

    networks = FacePipeline()
    whole = originals()
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.jpg"
        for number in range(first, first + count):
            chance = random.Random(number)
            data = mutated(chance.choice(whole), chance)
            try:
                decode_picture(data)
            except PictureError as error:
                assert "\n" not in str(error), number
                seen["refused"] += 1
            else:
                seen["read"] += 1
            if number % 100 == 0:
                path.write_bytes(data)
                said = io.StringIO()
                with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                    try:
                        command(["encode", str(path)])
                    except SystemExit as ended:
                        assert ended.code == 2 or not ended.code, number
                assert len(said.getvalue().splitlines()) < 2, (number, said.getvalue())
                seen["also by the command"] += 1
    del networks
    status = Path("/proc/self/status").read_text()
    peak_mb = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    print(json.dumps({"seen": seen, "peak_mb": peak_mb}))


def main() -> None:
    """The proof at full size, or a batch of it."""
    if len(sys.argv) == 3:
        _read(int(sys.argv[1]), int(sys.argv[2]))
        return
    started = time.monotonic()
    print(f"{hostile_pictures(100_000)} ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
