"""What a JPEG would take to decode, told from its markers (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from typing import Final

from service.pictures.answers import NotAPicture

START: Final = b"\xff\xd8\xff"
"""What every JPEG begins with."""
MOST_SCANS: Final = 64
"""An encoder's own script has ten; each of them is a pass over the whole picture."""
MOST_COEFFICIENT_BYTES: Final = 48_000_000
"""Of a picture that comes in several scans, which is kept whole until the last: two bytes each."""

# In between lie coded pixels, in which 0xff is followed by 0 or a restart marker (d0 to d7).
_MARKER: Final = re.compile(rb"\xff+([^\x00\x01\xd0-\xd7\xff])")
_END: Final = 0xD9
_SCAN: Final = 0xDA
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
# c4, c8 and cc are no frames; the others are lossless, hierarchical or coded arithmetically.
_UNUSUAL_FRAMES: Final = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}


def refuse_costly_jpeg(raw: bytes) -> None:
    """Raise NotAPicture for a JPEG that would take too much memory, or its core for minutes.

    Only its markers are looked at, in the way that libjpeg finds them.
    """
    frame = b""
    scans, in_parts, position = 0, False, len(START) - 1
    while marker := _MARKER.search(raw, position):
        kind, position = marker[1][0], marker.end()
        if kind == _END:
            break
        length = max(int.from_bytes(raw[position : position + 2]), 2)
        segment = raw[position + 2 : position + length]
        position += length
        if kind in _UNUSUAL_FRAMES:
            raise NotAPicture("not a usual kind of JPEG")
        if kind in {_BASELINE, _EXTENDED, _PROGRESSIVE}:
            if frame:
                raise NotAPicture("more than one frame")
            frame = segment
            in_parts = kind == _PROGRESSIVE
        elif kind == _SCAN:
            scans += 1
            if scans > MOST_SCANS:
                raise NotAPicture("too many scans")
            in_parts = in_parts or segment[:1] != frame[5:6]  # how many components
    if (in_parts or scans > 1) and _coefficient_bytes(frame) > MOST_COEFFICIENT_BYTES:
        raise NotAPicture("too many pixels for a progressive JPEG")


def _coefficient_bytes(frame: bytes) -> int:
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    factors = [(one >> 4, one & 15) for one in frame[7::3]]
    widest = max((across for across, _ in factors), default=1) or 1
    highest = max((down for _, down in factors), default=1) or 1
    share = sum(across * down for across, down in factors) / (widest * highest)
    return int(width * height * 2 * share)
