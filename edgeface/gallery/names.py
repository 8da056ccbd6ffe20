# ruff: noqa: RUF001 (letters that look alike are the subject)
"""Names: the one form in which a person's name is stored, compared and reported.

Takes in text from outside (a command line, a request, a settings file, a gallery file), hands on
`PersonName`s, and says which names a person could take for one another. `person_name` alone makes
a `PersonName`, so that what is checked and what is stored are the same. It knows no gallery.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import NewType

from edgeface.errors import GalleryError

PersonName = NewType("PersonName", str)
"""A name in its one form: without spaces around it, Unicode NFC, printable, 1 to 200 characters,
with ordinary spaces alone, and joiners only where a script needs them."""

LONGEST_NAME = 200  # characters
_RESERVED = ("unknown", "unavailable", "none", "nobody", "anybody")  # said where nobody is named


def person_name(text: str) -> PersonName:
    """The name as it is stored: trimmed, Unicode NFC, every kind of space an ordinary one.
    GalleryError if it cannot be a name."""
    name = unicodedata.normalize("NFC", text)
    name = "".join(" " if unicodedata.category(sign) == "Zs" else sign for sign in name).strip()
    seen = name.translate(_JOINERS) if _joins_letters(name) else name
    if len(name) > LONGEST_NAME or not seen.isprintable() or not name.translate(_NOTHING):
        raise GalleryError(
            f"a person's name must be 1 to {LONGEST_NAME} printable characters, not {text!r}"
        )
    return PersonName(name)


def refuse_reserved(name: PersonName) -> None:
    """Raise GalleryError for a name that a new person cannot have, since events, Home Assistant and
    the commands say it where there is nobody to name."""
    if _folded(name) in _RESERVED:
        raise GalleryError(
            f"nobody can be called {name!r}, which is said where nobody is recognized; choose "
            "another name"
        )


def _joins_letters(name: str) -> bool:
    """Whether each joiner stands where writing needs it: between two letters or marks of a script
    that joins, or behind a sign that ends a syllable (Unicode Standard Annex 31, section 2.3)."""
    return all(
        _joins(name[at - 1 : at]) and (_joins(name[at + 1 : at + 2]) or _ends(name[at - 1 : at]))
        for at, sign in enumerate(name)
        if ord(sign) in _JOINERS
    )


def _joins(sign: str) -> bool:
    """Whether it is a letter or a mark of a script that has joiners within words."""
    letter = bool(sign) and unicodedata.category(sign)[0] in "LM"
    return letter and any(ord(sign) in script for script in _JOINING)


def _ends(sign: str) -> bool:
    return unicodedata.combining(sign) == _VIRAMA


def wrong_name(names: bytes) -> str | None:
    """What is wrong with the names of a file (UTF-8, each ended by a line feed), None if nothing.

    Each must be exactly what `person_name` makes of it. Two names that it makes into one can
    therefore never stand in one file.
    """
    text = names.decode()
    some = text.split("\n")[:-1]
    if (
        unicodedata.is_normalized("NFC", text)
        and text.replace("\n", " ").isprintable()
        and all(name and name == name.strip() and len(name) <= LONGEST_NAME for name in some)
        and (text.isascii() or all(name.isascii() or name.translate(_NOTHING) for name in some))
    ):
        return None
    return next(filter(None, map(_wrong, some)), None)


def _wrong(text: str) -> str | None:
    try:
        name = person_name(text)
    except GalleryError:
        return f"it holds the name {text!r}, which cannot be one"
    return None if name == text else f"it holds the name {text!r}, whose one form is {name!r}"


def near_names(arriving: Iterable[PersonName], known: Iterable[PersonName]) -> tuple[str, ...]:
    """A sentence for each arriving name that a person could take for another, known or arriving:
    it differs in case, in accents, in what cannot be seen, or in letters that look alike."""
    arriving = list(dict.fromkeys(arriving))
    everybody = list(dict.fromkeys([*known, *arriving]))
    text = "\n".join(everybody)
    near: dict[PersonName, dict[PersonName, None]] = {name: {} for name in arriving}
    for keys in (_folded(text), _appearance(text)):
        alike: dict[str, list[PersonName]] = {}
        for name, key in zip(everybody, keys.split("\n"), strict=True):
            alike.setdefault(key, []).append(name)
        for group in alike.values():
            for name in group if len(group) > 1 else ():
                if name in near:
                    near[name] |= dict.fromkeys(group)
    place = {name: number for number, name in enumerate(arriving)}
    return tuple(
        f"the name {_spelled(name)} is easily taken for {_spelled(other)}: make sure that they are "
        "two people, or remove one"
        for name, others in near.items()
        for other in others
        if other != name and place.get(other, -1) < place[name]
    )


def _spelled(name: str) -> str:
    """The name, with the numbers of the characters that may be others than they look."""
    special = [f"U+{ord(sign):04X}" for sign in name if not sign.isascii()]
    return f"{name} (with {' '.join(special[:5])})" if special else name


def _folded(text: str) -> str:
    """Equal for texts that differ in case, accents, width, or what cannot be seen."""
    plain = unicodedata.normalize("NFKD", text.casefold()).casefold().translate(_NOTHING)
    if plain.isascii():
        return plain
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


def _appearance(text: str) -> str:
    """Equal for texts whose letters look alike, too."""
    letters = unicodedata.normalize("NFKD", text).translate(_LOOKS)
    return _folded(letters).replace("vv", "w").replace("rn", "m")


# Fillers, joiners and selectors, some of which count as letters or marks (Unicode's
# Default_Ignorable_Code_Point). A name of nothing else cannot be seen.
_INVISIBLE = (
    *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xE0000, 0xE1000),
)
_NOTHING = dict.fromkeys((*_INVISIBLE, ord(" ")))

_JOINERS = dict.fromkeys((0x200C, 0x200D))  # zero width non-joiner and joiner
_VIRAMA = 9  # Unicode's class of the signs that end a syllable
_JOINING = (
    range(0x0600, 0x0780),  # Arabic (Persian, Urdu, Kurdish), Syriac, Arabic Supplement
    range(0x08A0, 0x0E00),  # Arabic Extended, Devanagari to Sinhala
    range(0x1000, 0x10A0),  # Myanmar
    range(0x1780, 0x1800),  # Khmer
    range(0x1800, 0x18B0),  # Mongolian
)

# Letters and digits that look like Latin ones (from Unicode Technical Standard 39): each group is
# what looks like the sign that comes first.
_ALIKE = (
    "a аАαΑᎪꓮ",
    "b ВвΒβЬьƄᏴꓐ",
    "c сСϲϹςᏟꓚ",
    "d ԁᏧᎠꓓ",
    "e еЕεΕҽᎬꓰ℮",
    "f ϜꓝƒꞘ",
    "g ɡԌᏀꓖց",
    "h нНΗһᎻҺꓧհ",
    "l Iil1|ІіΙιӀӏɩıƖȷꓲӀ׀ו",
    "j јЈϳᎫꓙ",
    "k кКκΚᏦꓗ",
    "m мМΜᎷꓟ",
    "n Νηпոꓠ",
    "o оОοΟσ0օՕᴏꓳ𐐬",
    "p рРρΡᏢꓑ",
    "q ԛգզ",
    "r гᎡꓣᴦ",
    "s ѕЅꓢᏚ5",
    "t тТτΤᎢꓔ",
    "u υμսՍꓴ",
    "v νѴѵᏙꓦ",
    "w ԝԜωᎳꓪѡ",
    "x хХχΧꓫ",
    "y уУγΥүҮᎽꓬ",
    "z ζΖᏃꓜ",
)
_LOOKS = str.maketrans({sign: group[0] for group in _ALIKE for sign in group[2:]})
