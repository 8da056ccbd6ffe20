"""Stops an installation that cannot work, with one sentence, before anything is downloaded.

A 32-bit Raspberry Pi OS often runs a 64-bit kernel and then calls itself aarch64, so a dependency
marker cannot detect it. The interpreter can. Hatch loads this file when it reads pyproject.toml.
"""

from __future__ import annotations

import sys
from typing import Any

if sys.maxsize <= 2**32:
    sys.exit(
        "\nEdgeFace needs a 64-bit system: there is no LiteRT for 32-bit Raspberry Pi OS.\n"
        "Write Raspberry Pi OS (64-bit) to the SD card: a Pi 3, 4, 5 and Zero 2 W can run it.\n"
        "docs/raspberry-pi.md says how, and how to take the gallery along.\n"
    )

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Only64Bit(MetadataHookInterface):  # type: ignore[misc]
    """Changes nothing: being loaded is the check."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Leave the metadata as they are."""
