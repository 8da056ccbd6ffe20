"""Fetch: asks the hub, or looks in a folder, for what is new for this door.

Takes in what the door remembers and which generation it has whole, hands on a package's bytes,
unchecked: whoever applies them checks them. It sends the door's token to its own hub alone, over
TLS, and never changes a gallery.
"""

from __future__ import annotations

import http.client
import ipaddress
import ssl
from pathlib import Path

from edgeface.errors import GalleryError
from edgeface.hub.memory import Memory
from edgeface.hub.package import LARGEST, PATH, file_name
from edgeface.system.address import Address, is_url
from edgeface.system.connection import Deadline, HttpConnection

_PATIENCE = 120.0  # seconds for a request and its answer: 5 MB over a slow line


def source_of(text: str) -> str:
    """A folder or a hub's URL in its one form. GalleryError for what is neither."""
    if not is_url(text):
        return str(Path(text).absolute())
    try:
        address = Address(text, "the hub's URL")
    except ValueError as error:
        raise GalleryError(f"{error}; write it as https://host:port") from None
    if address.user is not None or address.target.open() not in ("", "/"):
        raise GalleryError("the hub's URL has a host and a port alone: https://host:port")
    if address.scheme != "https" and not (address.scheme == "http" and is_here(address.host)):
        raise GalleryError(
            f"the hub's URL {address} must begin with https://: templates and the door's token "
            "travel by it"
        )
    return f"{address.scheme}://{address.place}"


def fetch(memory: Memory, base: int) -> bytes | None:
    """The package that the door's source has for it; None where there is nothing new.

    `base` is the generation that the door has whole, 0 for none. Raises GalleryError for a source
    that cannot be reached, is none, or refuses.
    """
    if not memory.source:
        raise GalleryError(
            "this door has no hub to ask and no folder; run edgeface door join again with --from, "
            "or give it packages with: edgeface door apply FILE"
        )
    if is_url(memory.source):
        return _ask(memory, base)
    return read_package(Path(memory.source) / file_name(memory.door))


def read_package(file: Path) -> bytes:
    """The bytes of a file, and no more than a package may have. GalleryError where there are
    none."""
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST + 1)
    except OSError as error:
        raise GalleryError(
            f"cannot read the package {file} ({error.strerror}); check the path, or plug the "
            "stick in again"
        ) from None


def _ask(memory: Memory, base: int) -> bytes | None:
    address = Address(memory.source)
    context = None
    if address.scheme == "https":
        try:
            context = ssl.create_default_context(cafile=memory.ca or None)
        except OSError as error:
            raise GalleryError(
                f"cannot use the certificates in {memory.ca} ({error.strerror}); join the hub "
                "again with --ca"
            ) from None
    connection = HttpConnection(address.host, address.port, Deadline(_PATIENCE), context)
    try:
        connection.request(
            "GET",
            f"{PATH}?has={memory.generation}&base={base}",
            headers={"Authorization": f"Bearer {memory.token}"},
        )
        answer = connection.getresponse()
        data = answer.read(LARGEST + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(error) if isinstance(error, OSError) else type(error).__name__
        raise GalleryError(
            f"the hub {address.place} cannot be reached ({reason}); the door goes on with "
            f"generation {memory.generation}"
        ) from None
    finally:
        connection.abort()
    if answer.status == 204:
        return None
    if answer.status == 401:
        raise GalleryError(
            f"the hub {address.place} knows no door with this token; the door goes on with "
            f"generation {memory.generation}: join the hub again with a new --token-file"
        )
    if answer.status != 200:
        raise GalleryError(
            f"the hub {address.place} answered with status {answer.status}; the door goes on with "
            f"generation {memory.generation}"
        )
    return data


def is_here(host: str) -> bool:
    """Whether it is this machine, so that nothing travels."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
