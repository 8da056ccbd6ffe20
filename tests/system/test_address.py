"""Addresses: a URL is read as it was meant, and shows nothing of its credentials."""

from __future__ import annotations

import pickle

import pytest

from edgeface.system.address import Address


def opened(address: Address) -> tuple[str | None, str | None, str]:
    user, password = address.user, address.password
    return (
        user.open() if user else None,
        password.open() if password else None,
        address.target.open(),
    )


@pytest.mark.parametrize(
    ("url", "user", "password", "place", "target"),
    [
        ("rtsp://ada:pw1@cam:554/live", "ada", "pw1", "cam:554", "/live"),
        ("rtsp://ada:p@ss@cam/live", "ada", "p@ss", "cam", "/live"),
        ("rtsp://ada:p/ss@cam/live", "ada", "p/ss", "cam", "/live"),
        ("rtsp://ada:p@s/s@cam:554/live", "ada", "p@s/s", "cam:554", "/live"),
        ("rtsp://ada:p?s#s@cam/live", "ada", "p?s#s", "cam", "/live"),
        ("rtsp://ada:p%40%2Fs@cam/live", "ada", "p@/s", "cam", "/live"),
        ("RTSP://ada@[fe80::1]:554/live", "ada", None, "[fe80::1]:554", "/live"),
        ("http://cam/a@b", None, None, "cam", "/a@b"),
        ("http://cam:80/x?mail=a@b", None, None, "cam:80", "/x?mail=a@b"),
        ("http://cam/two words?x=é", None, None, "cam", "/two%20words?x=%C3%A9"),
    ],
)
def test_a_url_is_taken_apart(
    url: str, user: str | None, password: str | None, place: str, target: str
) -> None:
    address = Address(url)
    assert opened(address) == (user, password, target)
    assert address.place == place


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://s3cret:s3cret@cam/live",
        "rtsp://ada:x@s3cret@cam/live",
        "rtsp://ada:x/s3cret@cam/live",
        "rtsp://ada:x?s3cret@cam/live",
        "http://cam/live?user=s3cret&password=s3cret",
        "http://cam/live?pwd=x@s3cret",
        "http://cam/live?pwd=x&s3cret",
        "http://cam/live?pwd=x/s3cret#s3cret",
        "http://cam/live?nobody_knows_this_key=s3cret",
        "rtsp://cam/user=s3cret&password=s3cret&channel=1",
        "rtsp://cam/channel=1_password=s3cret_stream=0.sdp?",
    ],
)
def test_a_secret_in_a_url_is_not_shown(url: str) -> None:
    address = Address(url)
    for shown in (str(address), repr(address), f"{address}", address + "", "".join([address])):
        assert "s3cret" not in shown
        assert "cam" in shown
    with pytest.raises(TypeError):
        pickle.dumps(address)


def test_which_picture_is_wanted_is_shown() -> None:
    address = Address("rtsp://ada:pw@cam/live?channel=2&subtype=1&token=abc&q=r")
    assert address == "rtsp://...@cam/live?channel=2&subtype=1&..."
    assert address.holds_secrets
    assert not Address("http://cam/live?channel=1&q=r").holds_secrets
    assert Address("http://cam/live?pwd=abc").holds_secrets


@pytest.mark.parametrize(
    "url", ["http:///s3cret", "http://s3cret:99999/", "http://ada:s3cret", "http://ada:12/s3cret@c"]
)
def test_a_url_that_leads_nowhere_or_is_ambiguous_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match=r"host|two ways") as caught:
        Address(url)
    assert "s3cret" not in str(caught.value)


def test_another_password_makes_another_address() -> None:
    one, two = Address("http://a:b@cam/"), Address("http://a:c@cam/")
    assert one != two
    assert not one == two  # noqa: SIM201 (both operators are our own)
    assert one == Address("http://a:b@cam/")
