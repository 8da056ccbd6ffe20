"""Addresses: URLs, read once, whose credentials nobody sees.

Takes in a URL as people write it, with a user and a password that may hold @, / or ?, hands on an
`Address`: a string that shows where it leads and dots for what may be a secret. Whoever connects
asks it for the rest. It opens nothing.
"""

from __future__ import annotations

import re
from typing import NoReturn, Self
from urllib.parse import quote, unquote

from edgeface.system.secret import DOTS, Secret

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.S)
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#\\\s]+)(?::(\d{1,5}))?")
_PORTS = range(1, 65536)
_SENT_AS_IT_IS = "%/?:@!$&'()*+,;=-._~[]"  # of a path and a query
# Query keys that say which picture is wanted. A value is shown for these alone, since there is no
# list of every name that a camera gives to its password.
_HARMLESS = re.compile(
    r"(?i:channel|ch|cam|camera|subtype|stream|streamtype|profile|resolution|fps|framerate|width"
    r"|height|codec|videocodec|quality|compression)=[\w.-]{0,12}"
)

_SECRETIVE = re.compile(r"(?i:user|usr|login|pass|pwd|pw|token|auth|secret|credential|key)\w*=")


class Address(str):
    """A URL with dots for its user, password and whatever else may be secret.

    scheme: lower case; host: a name or an address, IPv6 without brackets; port: None for the
    scheme's own; target: path and query, percent-encoded; user, password: from before the host.
    """

    __slots__ = ("_whole", "host", "password", "port", "scheme", "target", "user")

    scheme: str
    host: str
    port: int | None
    target: Secret
    user: Secret | None
    password: Secret | None
    _whole: Secret

    def __new__(cls, url: str, key: str = "the URL") -> Self:
        """Raises ValueError, whose sentence names `key` and nothing of the URL."""
        scheme, rest = _split_scheme(url, key)
        at = _end_of_user(rest, key)
        login, rest = rest[: max(0, at)], rest[at + 1 :]
        authority = _authority(rest)
        place = _PLACE.fullmatch(authority)
        if place is None or (place[2] and int(place[2]) not in _PORTS):
            raise ValueError(_no_host(key))
        target = rest[len(authority) :]
        before = f"{DOTS}@" if at >= 0 else ""
        made = super().__new__(cls, f"{scheme}://{before}{authority}{_shown(target)}")
        made.scheme = scheme
        made.host, made.port = place[1].strip("[]"), int(place[2]) if place[2] else None
        made.target = Secret(quote(target, safe=_SENT_AS_IT_IS))
        user, colon, password = login.partition(":")
        made.user = Secret(unquote(user)) if at >= 0 else None
        made.password = Secret(unquote(password)) if colon else None
        made._whole = Secret(url)
        return made

    @classmethod
    def of(cls, url: str, key: str = "the URL") -> Self:
        """The URL as an address, if it is none yet."""
        return url if isinstance(url, cls) else cls(url, key)

    @property
    def holds_secrets(self) -> bool:
        """Whether it has a user, or a key that is named like a secret's; what is merely unknown is
        shown as dots, too, but is no reason to warn."""
        return self.user is not None or _SECRETIVE.search(self.target.open()) is not None

    @property
    def odd_character(self) -> str | None:
        """The first character of host, path or query that no URL holds: a space, an ü; else None.

        In a path or a query it is sent percent-encoded.
        """
        _, rest = _split_scheme(self._whole.open(), "it")
        place = rest[_end_of_user(rest, "it") + 1 :]
        return next((c for c in place if not c.isascii() or not c.isprintable() or c == " "), None)

    def for_place(self, place: str, scheme: str, user: str | None, password: str | None) -> Secret:
        """The same target at another place ("host:port"), with these credentials."""
        login = ""
        if user is not None or password is not None:
            login = f"{quote(user or '', safe='')}:{quote(password or '', safe='')}@"
        return Secret(f"{scheme}://{login}{place}{self.target.open()}")

    @property
    def place(self) -> str:
        """Host and, where it is written, port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Address):
            return self._whole == other._whole
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("an address may hold a secret and is not pickled")


def is_url(text: str) -> bool:
    """Whether it reads like a URL."""
    return _URL.match(text) is not None


def _split_scheme(url: str, key: str) -> tuple[str, str]:
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(f"{key} must be a URL, as in http://host/path")
    return found[1].lower(), found[2]


def _end_of_user(rest: str, key: str) -> int:
    """Where the @ after user and password stands, -1 if there is none.

    The password may hold @, / and ?, as people paste it, so the last @ before a question mark
    counts wherever what comes first is no host.
    """
    head = re.split(r"[?#]", rest, maxsplit=1)[0]
    place = _PLACE.fullmatch(_authority(rest))
    if place is None:
        at = head.rfind("@") if "@" in head else rest.rfind("@")
        if at < 0:
            raise ValueError(_no_host(key))
        return at
    if place[2] and "@" in head:
        raise ValueError(
            f"{key} can be read in two ways; write user and password as settings of their own, or "
            "each @ and / in them as %40 and %2F"
        )
    return -1


def _authority(rest: str) -> str:
    return re.split(r"[/?#]", rest, maxsplit=1)[0]


def _no_host(key: str) -> str:
    return f"{key} must name a host, and its port must lie between 1 and 65535"


def _shown(target: str) -> str:
    """Path and query with dots for what may be secret."""
    path, mark, query = target.partition("?")
    if re.search(r"[=@#]", path):
        path = f"/{DOTS}"
    pieces = [p if _HARMLESS.fullmatch(p) else DOTS for p in re.split(r"[&;]", query)]
    shown = [p for i, p in enumerate(pieces) if p != DOTS or DOTS not in pieces[:i]]
    return path + mark + ("&".join(shown) if query else "")
