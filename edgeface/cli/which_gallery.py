"""Which gallery: says it where a command works on another gallery than one may think.

Takes in the gallery that was chosen, prints a note where it is not that of the service on this
machine though none was chosen, and where there is none. It opens nothing and asks nobody.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from edgeface.gallery.gallery import default_gallery_path

_SOCKET = Path("/run/edgeface/control.sock")  # without the settings, which take time to read
_CHANGING = {"enroll", "import", "list", "merge", "remove", "rename"}
_OF_NOBODY = {"compact", "identify"}  # they go on without a gallery, and do not name it otherwise
_THROUGH_THE_SERVICE = {
    "enroll": "edgeface enroll NAME --live, or ",
    "list": "edgeface list --service, or ",
    "merge": "edgeface merge NAME OTHER --service, or ",
    "remove": "edgeface remove NAME --service, or ",
    "rename": "edgeface rename NAME NEW --service, or ",
}
_SERVICES = "/var/lib/edgeface/gallery.safetensors"


def say_which(command: str, chosen: Path | None) -> None:
    """A note on stderr where `command` works on the user's own gallery beside a service, or on one
    that is not there."""
    if command in _OF_NOBODY:
        path = chosen or default_gallery_path()
        if not os.path.lexists(path):
            click.echo(f"note: there is no gallery {path}, so nobody is enrolled", err=True)
    if command not in _CHANGING or chosen is not None or "EDGEFACE_GALLERY" in os.environ:
        return
    if not Path(os.environ.get("EDGEFACE_SOCKET") or _SOCKET).exists():
        return
    click.echo(
        f"note: this is your own gallery {default_gallery_path()}, which the service on this "
        f"machine does not use; for the service's: {_THROUGH_THE_SERVICE.get(command, '')}"
        f"sudo edgeface {command} ... --gallery {_SERVICES}",
        err=True,
    )
