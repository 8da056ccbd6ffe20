"""Who holds a pin of the board, as the kernel's answers say."""

from __future__ import annotations

import fcntl
import struct
from pathlib import Path

import pytest

from edgeface.system.gpio_lines import holder


class Chips:
    """The kernel's answers: by device, a chip's label and who holds which of its lines."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._chips: dict[str, tuple[str, dict[int, str]]] = {}
        monkeypatch.setattr(fcntl, "ioctl", self._answer)

    def add(self, device: str, label: str, held: dict[int, str]) -> None:
        (self._folder / device).write_text("")
        self._chips[device] = (label, held)

    def _answer(self, handle: int, request: int, data: bytes) -> bytes:
        label, held = self._chips[Path(f"/proc/self/fd/{handle}").resolve().name]
        if request == 0x8044B401:
            return struct.pack("32s32sI", b"gpiochip", label.encode(), 54)
        assert request == 0xC100B405
        pin = struct.unpack_from("I", data, 64)[0]
        flags = 1 if pin in held else 0
        return struct.pack("32s32sIIQ176x", b"", held.get(pin, "").encode(), pin, 0, flags)


def test_a_pin_s_holder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chips = Chips(tmp_path, monkeypatch)
    chips.add("gpiochip0", "raspberrypi-exp-gpio", {17: "another chip's line"})
    chips.add("gpiochip4", "pinctrl-rp1", {17: "onewire@0", 4: ""})
    assert holder(17, tmp_path) == "onewire@0"
    assert holder(4, tmp_path) == ""
    assert holder(18, tmp_path) is None


def test_nothing_is_claimed_where_nothing_can_be_asked(tmp_path: Path) -> None:
    assert holder(17, tmp_path) is None
    (tmp_path / "gpiochip0").write_text("")  # answers no request of this kind
    assert holder(17, tmp_path) is None
