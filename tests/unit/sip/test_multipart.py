"""Multipart bodies: exact, flat, bounded."""

import pytest

from offhook.errors import RemoteProtocolError
from offhook.sip.multipart import MAX_PARTS, split_multipart

pytestmark = pytest.mark.unit


def test_parts_and_their_types() -> None:
    first, second, third = split_multipart(
        b"preamble\r\n--b\r\nContent-Type: application/sdp\r\nContent-Disposition: session\r\n\r\nv=0\r\n\r\n"
        b"--b  \r\nContent-Type:\r\n application/rs-metadata+xml\r\n\r\n<a/>\r\n"
        b"--b\r\n\r\nbare\r\n--b--\r\nepilogue",
        "b",
    )
    assert first.media_type is not None
    assert (first.media_type.name, first.disposition, first.body) == ("application/sdp", "session", b"v=0\r\n")
    assert second.body == b"<a/>"
    assert (third.media_type, third.body) == (None, b"bare")


def test_a_longer_boundary_is_another_one() -> None:
    (part,) = split_multipart(b"--b\r\n\r\n--bc\r\n--b-d\r\n--b--e\r\n x--b\r\n--b--", "b")
    assert part.body == b"--bc\r\n--b-d\r\n--b--e\r\n x--b"


def test_an_empty_part() -> None:
    (part,) = split_multipart(b"--b\r\n\r\n\r\n--b--", "b")
    assert part.body == b""


@pytest.mark.parametrize(
    ("body", "boundary", "status"),
    [
        (b"", "b", 400),
        (b"no parts", "b", 400),
        (b"--b--", "b", 400),
        (b"--b\r\n\r\nnever closed", "b", 400),
        (b"--b", "b", 400),
        (b"--b\r\nno colon\r\n\r\nx\r\n--b--", "b", 400),
        (b"--b\r\n\r\nx\r\n--b--", "", 400),
        (b"--b\r\n\r\nx\r\n--b--", "b" * 1000, 400),
        (b"--b\r\n\r\nx\r\n--b--", "b\r\n", 400),
        (b"--b\r\n\r\nx\r\n" * 10_000 + b"--b--", "b", 413),
        (b"--b\r\n\r\nx\r\n" * (MAX_PARTS + 1) + b"--b--", "b", 413),
        (b"--b\r\nX: " + b"a" * 10_000 + b"\r\n\r\nx\r\n--b--", "b", 413),
    ],
)
def test_broken_bodies(body: bytes, boundary: str, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        split_multipart(body, boundary)
    assert caught.value.status_hint == status
