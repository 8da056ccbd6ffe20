"""Paths: those that a user writes on the command line, in the form that a shell would give them.

Takes in an option's text, hands on a `Path`. It opens nothing.
"""

from __future__ import annotations

import os
from typing import Any

import click

from edgeface.system.homes import expanded


class UserPath(click.Path):
    """A file or folder; a ~ that was quoted, or stands after =, is the home as anywhere else."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        return super().convert(expanded(value), param, ctx)
