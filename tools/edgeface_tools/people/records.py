"""Records: numbers measured once and kept as JSON, so that a model can be made again from them.

Takes in a path and the type that the file must hold, hands on the record. It writes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from edgeface.errors import ModelError


class _Record(Protocol):
    @property
    def format(self) -> int: ...


_Kind = TypeVar("_Kind", bound=_Record)


def read_record(path: Path, kind: type[_Kind], current: int, what: str, command: str) -> _Kind:
    """The record in a file; ModelError unless it is one of `kind` in the `current` format.

    `what` is its name in messages; `command` is the command that makes it.
    """
    try:
        record = msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ModelError(f"cannot read the {what} {path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ModelError(f"{path} holds no {what} ({error}); make it with: {command}") from None
    if record.format != current:
        raise ModelError(
            f"{path} has {what.removesuffix('s')} format {record.format}, this version reads "
            f"{current}; make it again with: {command}"
        )
    return record
