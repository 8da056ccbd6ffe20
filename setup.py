"""Stops an installation that cannot work with a sentence; all settings are in pyproject.toml.

A 32-bit Raspberry Pi OS often runs a 64-bit kernel and then calls itself aarch64, so that no
dependency marker can tell. The interpreter can.
"""

import sys

from setuptools import setup

if sys.maxsize <= 2**32:
    sys.exit(
        "\nEdgeFace needs a 64-bit system: there is no LiteRT for 32-bit Raspberry Pi OS.\n"
        "Write Raspberry Pi OS (64-bit) to the SD card: a Pi 3, 4, 5 and Zero 2 W can run it.\n"
        "docs/raspberry-pi.md says how, and how to take the gallery along.\n"
    )

setup()
