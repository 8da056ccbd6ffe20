"""Uploads: picture files that a browser or a program sends, taken from its request.

Takes in a request whose size is limited already, hands on the files' bytes and the other fields.
Nothing is decoded here, and nothing written to the disk: the service judges what a file is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from edgeface.console.errors import Busy
from edgeface.system.upload import LARGEST_PICTURE, MOST_PICTURES, MOST_TOGETHER, too_much

UPLOADS = frozenset(
    {
        "/people/pictures",
        "/api/v1/enrollments/pictures",
        "/api/v1/identify",
        "/api/v1/verify",
    }
)
_LONGEST_NAME = 100  # characters of a file's name that are shown


@dataclass(frozen=True)
class SentPicture:
    """A picture file as it was sent, and what its sender calls it."""

    name: str
    data: bytes


class Slot:
    """Room for one upload at a time: several at once would need more memory than there is."""

    def __init__(self) -> None:
        self._taken = False

    def take(self) -> None:
        """Raises Busy where another upload is under way."""
        if self._taken:
            raise Busy("other pictures are being sent; try again in a moment")
        self._taken = True

    def free(self) -> None:
        """Let the next one come."""
        self._taken = False


@dataclass
class Upload:
    """Pictures that were sent, and the form's other fields, as text, each once. The room for them
    is taken until `task`, where one is set, has ended."""

    pictures: list[SentPicture]
    fields: dict[str, str]
    task: asyncio.Task[None] | None = None


@asynccontextmanager
async def uploaded(request: Request, slot: Slot) -> AsyncGenerator[Upload]:
    """What a request brings; meanwhile nobody else can send any. Raises Busy where somebody
    does."""
    slot.take()
    task = None
    try:
        upload = await _read(request)
        yield upload
        task = upload.task
    finally:
        if task is None:
            slot.free()
        else:
            task.add_done_callback(lambda _: slot.free())


class _InMemory(MultiPartParser):
    """Keeps files in memory: the pictures of faces stay off the card."""

    spool_max_size = max_file_size = MOST_TOGETHER + 1


async def _read(request: Request) -> Upload:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise HTTPException(415, "pictures are sent as multipart/form-data")
    parser = _InMemory(
        request.headers,
        request.stream(),
        max_files=MOST_PICTURES + 2,  # a form has two fields for files, and one may be empty
        max_fields=10,
        max_part_size=4096,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"this form cannot be read: {error.message}") from None
    fields = {key: value for key, value in form.multi_items() if isinstance(value, str)}
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    try:
        files = [file for file in files if file.filename or file.size]
        if problem := too_much([file.size or 0 for file in files]):
            raise HTTPException(413 if "MB" in problem else 400, problem)
        return Upload([await _sent(file) for file in files], fields)
    finally:
        await form.close()


async def _sent(file: UploadFile) -> SentPicture:
    data = await file.read(LARGEST_PICTURE)
    await file.close()  # which frees what was read
    return SentPicture((file.filename or "")[:_LONGEST_NAME], data)
