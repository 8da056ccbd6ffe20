"""Picture size: notices in an RTSP stream that its pictures have got another size.

Takes in the messages and media packets of a camera, hands on whether a packet begins another size
(RFC 2435 for JPEG, RFC 6184 for H.264, RFC 7798 for H.265). OpenCV before 5 goes on with the first
size and gives old pictures, or half old ones, without a word. It decodes nothing.
"""

from __future__ import annotations

import re

_CODECS = re.compile(rb"(?im)^a=rtpmap:(\d{1,3}) (H264|H265|JPEG)/")
_JPEG = 26  # its payload type needs no rtpmap
_H264_PARAMETERS, _H264_SEVERAL = 7, 24  # types of NAL units: SPS, STAP-A
_H265_PARAMETERS, _H265_SEVERAL = 33, 48  # SPS, AP
LOOKED_AT = 1024  # bytes of a packet, at whose beginning the parameters stand


class PictureSize:
    """What the pictures of one stream have been like so far."""

    def __init__(self) -> None:
        self._codecs = {_JPEG: b"JPEG"}
        self._first: dict[int, bytes] = {}

    def described(self, message: bytes) -> None:
        """Take in a message, which may say what the payload types stand for."""
        self._codecs |= {int(kind): codec.upper() for kind, codec in _CODECS.findall(message)}

    def changes_with(self, packet: bytes) -> bool:
        """Whether a media packet, of which `LOOKED_AT` bytes are enough, begins another size."""
        if len(packet) < 16 or packet[4] >> 6 != 2:  # after "$", channel and length: RTP
            return False
        kind = packet[5] & 0x7F
        if kind not in self._codecs:
            return False
        found = _parameters(self._codecs[kind], _payload(packet[4:]))
        return bool(found) and self._first.setdefault(kind, found) != found


def _payload(rtp: bytes) -> bytes:
    """What an RTP packet carries (RFC 3550, section 5.1)."""
    start = 12 + 4 * (rtp[0] & 0x0F)
    if rtp[0] & 0x10:
        start += 4 + 4 * int.from_bytes(rtp[start + 2 : start + 4])
    return rtp[start:]


def _parameters(codec: bytes, payload: bytes) -> bytes:
    """What says how large the pictures are; nothing where the packet does not say it."""
    if codec == b"JPEG":
        return payload[6:8]
    if codec == b"H264":
        head, wanted, several, mask, shift = 1, _H264_PARAMETERS, _H264_SEVERAL, 0x1F, 0
    else:
        head, wanted, several, mask, shift = 2, _H265_PARAMETERS, _H265_SEVERAL, 0x3F, 1
    units = _units(payload[head:]) if _kind(payload, mask, shift) == several else [payload]
    return next((unit for unit in units if _kind(unit, mask, shift) == wanted), b"")


def _units(aggregate: bytes) -> list[bytes]:
    """The NAL units of an aggregation packet that are whole."""
    found = []
    while len(aggregate) > 2:
        end = 2 + int.from_bytes(aggregate[:2])
        if end > len(aggregate):
            break
        found.append(aggregate[2:end])
        aggregate = aggregate[end:]
    return found


def _kind(unit: bytes, mask: int, shift: int) -> int:
    return unit[0] >> shift & mask if unit else -1
