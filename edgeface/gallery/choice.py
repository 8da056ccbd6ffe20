"""Choice: which model a gallery is used with, where a command does not say.

Takes in a gallery's path, hands on the model to open; `use_model` changes it. A gallery belongs to
the model that made it, so the one that is there is kept aside as FILE.NAME, by its model's name,
and the chosen model's own takes its place, or one of nobody: no template is lost, and none is
compared with another model's. The choice is one line in FILE.model. It opens no network.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeface.errors import GalleryError, ModelError
from edgeface.gallery.contents import Contents, empty_contents
from edgeface.gallery.file import read_contents
from edgeface.gallery.newest import newest_generation
from edgeface.gallery.store import FAR_ABOVE, commit, exclusively, load_for_change, previous_of
from edgeface.pipeline.model_file import (
    SHIPPED_MODELS,
    Model,
    load_model,
    model_called,
    model_path,
    shipped_with,
)
from edgeface.system.storage import Folder, open_regular

_LONGEST = 64  # bytes of a choice


@dataclass(frozen=True)
class Change:
    """What `use_model` did: where the gallery of the model before is kept now, if it had anybody,
    and how many people the chosen model's own has."""

    aside: Path | None
    people: int


def choice_of(path: Path) -> Path:
    """The file beside a gallery that names its model."""
    return path.with_name(f"{path.name}.model")


def aside_of(path: Path, name: str) -> Path:
    """Where the gallery of the model `name` is kept while another is in use."""
    return path.with_name(f"{path.name}.{name}")


def kept_aside(path: Path) -> list[Path]:
    """The galleries of other models that are kept beside the one at `path`."""
    files = (aside_of(path, one.name) for one in SHIPPED_MODELS)
    return [file for file in files if os.path.lexists(file)]


def model_for(path: Path, model: str | Path | None) -> Path:
    """The file of `model` (a shipped one's name, or a path); None means the one chosen for the
    gallery at `path`, else the default.

    Raises ModelError where what was chosen cannot be read, or is not known here.
    """
    return model_path(chosen_model(path) if model is None else model)


def model_in_use(path: Path, model: str | Path | None) -> Model:
    """As `model_for`, read and checked."""
    return load_model(model_for(path, model))


def chosen_model(path: Path) -> str | None:
    """The name of the model chosen for the gallery at `path`; None where none was. Raises as
    `model_for` does."""
    choice = choice_of(path)
    advice = "choose again with: edgeface model use NAME"
    try:
        with os.fdopen(open_regular(choice), "rb") as file:
            name = file.read(_LONGEST).decode(errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ModelError(f"cannot read {choice}: {error.strerror}; {advice}") from None
    if model_called(name) is None:
        raise ModelError(f"{choice} names a model that this version does not have; {advice}")
    return name


def use_model(
    path: Path, name: str, key: bytes | None = None, stores: Sequence[Path] = ()
) -> Change:
    """Use the shipped model `name` with the gallery at `path` from now on.

    `stores` are where services may keep which state of the gallery they have used: they take the
    chosen model's. Raises ModelError for an unknown name, and GalleryError with the gallery as it
    was where it cannot be read or kept. A power cut leaves the old gallery or the new one, whole;
    in the moment before the choice is written the new one is refused, until this is run again.
    """
    if model_called(name) is None:
        raise ModelError(f"there is no model called {name}; see them with: edgeface models")
    model = load_model(name)
    with exclusively(path) as folder:
        present = load_for_change(folder, path, key).contents
        aside = None
        if present is None or present.model_identity != model.identity:
            own = _own(folder, path, name, model, key)
            if present is not None and len(present.counts):
                aside = aside_of(path, _name_of(present.model_identity))
                _keep(folder, present, aside, key)
            if own is not None or present is not None:
                nobody = empty_contents(model.identity, model.description.embedding.size)
                known = [one.generation for one in (own, present) if one is not None]
                newest = max(newest_generation(path, stores), *known)
                present = replace(own or nobody, generation=newest + FAR_ABOVE)
                # Its last generation, too: the other model's is no use in its place.
                commit(folder, path, present, key, forget=True)
        choice = choice_of(path).name
        folder.replace(folder.write(choice, [f"{name}\n".encode()]), choice)
        for left in (aside_of(path, name), previous_of(aside_of(path, name))):
            folder.remove(left.name)
        folder.sync()
    return Change(aside, 0 if present is None else len(present.counts))


def _own(folder: Folder, path: Path, name: str, model: Model, key: bytes | None) -> Contents | None:
    """What is kept of the chosen model's gallery; None where nothing is."""
    file = aside_of(path, name)
    try:
        contents = read_contents(file, key, folder)
    except FileNotFoundError:
        return None
    if contents.model_identity != model.identity:
        raise GalleryError(f"{file} was made with another model than its name says; move it away")
    return contents


def _keep(folder: Folder, present: Contents, aside: Path, key: bytes | None) -> None:
    """Write a gallery aside, over what an interrupted change left there and over nothing else."""
    try:
        there = read_contents(aside, key, folder)
        left = there.model_identity == present.model_identity
        free = left and there.generation <= present.generation
    except FileNotFoundError:
        free = True
    except GalleryError:
        free = False
    if not free:
        raise GalleryError(
            f"{aside} would be overwritten by the gallery that is in use; move it away first"
        )
    commit(folder, aside, present, key)
    folder.remove(previous_of(aside).name)  # what an interrupted change left
    folder.sync()


def _name_of(identity: str) -> str:
    made_with = shipped_with(identity)
    return made_with.name if made_with else identity[:12]
