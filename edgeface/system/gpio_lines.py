"""GPIO lines: who holds an output pin of the board, as the kernel says.

Takes in a pin's BCM number, hands on the name under which a program or driver holds its line. It
claims no line and changes none.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

_CHIP = struct.Struct("32s32sI")  # struct gpiochip_info: name, label, lines (linux/gpio.h)
_CHIP_INFO = 0x8044B401  # GPIO_GET_CHIPINFO_IOCTL
_LINE = struct.Struct("32s32sIIQ176x")  # struct gpio_v2_line_info, without its attributes
_LINE_INFO = 0xC100B405  # GPIO_V2_GET_LINEINFO_IOCTL
_USED = 1  # GPIO_V2_LINE_FLAG_USED
_OF_THE_HEADER = "pinctrl-"  # what the labels of the chip behind the 40 pins begin with


def holder(pin: int, devices: Path = Path("/dev")) -> str | None:
    """The name of who holds a pin ("" where they gave none); None where it is free, or where that
    cannot be known: no such board, or no right to ask."""
    for path in sorted(devices.glob("gpiochip*")):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            return _ask(handle, pin)
        except (OSError, _AnotherChip):
            continue
        finally:
            os.close(handle)
    return None


class _AnotherChip(Exception):
    """Not the chip behind the header, or one with fewer lines."""


def _ask(handle: int, pin: int) -> str | None:
    chip = fcntl.ioctl(handle, _CHIP_INFO, bytes(_CHIP.size))
    _, label, lines = _CHIP.unpack(chip)
    if not _text(label).startswith(_OF_THE_HEADER) or pin >= lines:
        raise _AnotherChip
    line = fcntl.ioctl(handle, _LINE_INFO, _LINE.pack(b"", b"", pin, 0, 0))
    _, consumer, _, _, flags = _LINE.unpack(line)
    return _text(consumer) if flags & _USED else None


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")
