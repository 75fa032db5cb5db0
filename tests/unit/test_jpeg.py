"""What a JPEG would take to decode is known before anything is decoded."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from service.pictures.answers import NotAPicture
from service.pictures.jpeg import MOST_SCANS, refuse_costly_jpeg
from tests.support.effort import effort
from tests.support.pictures import claiming, cmyk, encoded, honest, many_scans, scan_bomb
from tests.support.stopwatch import Stopwatch

OWN_SCANS = 6
"""Of a progressive picture of one component, as libjpeg writes it."""


def jpeg(size: tuple[int, int], mode: str = "RGB", **options: Any) -> bytes:
    return claiming(size, encoded(Image.new(mode, (64, 64)), "JPEG", **options))


@pytest.mark.parametrize(
    "raw",
    [
        honest(),
        jpeg((5000, 5000)),
        jpeg((5000, 5000), "CMYK"),
        jpeg((4000, 3000), progressive=True),  # 12 million, as a phone has them
        jpeg((2800, 2800), progressive=True, subsampling=0),
        jpeg((4000, 3000), restart_marker_rows=1),
        many_scans(MOST_SCANS - OWN_SCANS),
    ],
)
def test_what_can_be_decoded_passes(raw: bytes) -> None:
    refuse_costly_jpeg(raw)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (many_scans(MOST_SCANS - OWN_SCANS + 1), "too many scans"),
        (cmyk(), "too many pixels for a progressive JPEG"),
        (jpeg((5000, 5000), progressive=True), "too many pixels for a progressive JPEG"),
        (jpeg((3000, 3000), progressive=True, subsampling=0), "too many pixels for a progressive"),
    ],
)
def test_what_takes_too_much_does_not(raw: bytes, why: str) -> None:
    with pytest.raises(NotAPicture, match=why):
        refuse_costly_jpeg(raw)


def test_a_baseline_picture_in_several_scans_is_kept_whole_as_a_progressive_one_is() -> None:
    """By its first scan, which has one of the three components."""
    raw = jpeg((5000, 5000))
    at = raw.index(b"\xff\xda")
    first = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    with pytest.raises(NotAPicture, match="progressive"):
        refuse_costly_jpeg(raw[:at] + first + raw[at + 14 :])


def test_a_scan_bomb_is_told_from_its_first_scans() -> None:
    bomb, watch = scan_bomb(), Stopwatch(alone=True)
    with pytest.raises(NotAPicture, match="scans"):
        refuse_costly_jpeg(bomb)
    assert watch.seconds < 0.1


def test_scans_of_a_thumbnail_are_not_the_pictures() -> None:
    """It lies in a segment, which is passed over by its length."""
    thumbnail = b"Exif\0\0" + b"\xff\xda\x00\x08" * 1000
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2) + thumbnail
    raw = honest()
    refuse_costly_jpeg(raw[:2] + segment + raw[2:])


@pytest.mark.parametrize(
    "hidden",
    [
        b"\xff\xff\xff",  # as many fill bytes as one likes
        b"\0junk\xff\0",  # what is no marker is skipped
        b"\xff\xd3\xff\x01",  # neither have these a length
        b"\xff\xfe\x00\x02",  # an empty comment
        b"\xff\xfe\x00\x00",  # with a length that cannot be
    ],
)
def test_nothing_between_scans_hides_them(hidden: bytes) -> None:
    raw = honest().removesuffix(b"\xff\xd9")
    scan = hidden + b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00"
    with pytest.raises(NotAPicture, match="scans"):
        refuse_costly_jpeg(raw + scan * MOST_SCANS)


@pytest.mark.parametrize("kind", [0xC3, 0xC5, 0xC9, 0xCA, 0xCF])
def test_kinds_that_no_camera_makes_are_refused(kind: int) -> None:
    with pytest.raises(NotAPicture, match="usual"):
        refuse_costly_jpeg(honest().replace(b"\xff\xc0", bytes((0xFF, kind))))


def test_a_second_frame_cannot_belittle_the_first() -> None:
    raw = jpeg((5000, 5000), progressive=True)
    at = raw.index(b"\xff\xc2")
    small = bytearray(raw[at : at + 19])
    small[5:9] = b"\0\1\0\1"
    with pytest.raises(NotAPicture, match="frame"):
        refuse_costly_jpeg(raw[:at] + raw[at : at + 19] + bytes(small) + raw[at + 19 :])


def test_whatever_is_cut_off_is_read_to_its_end() -> None:
    raw = encoded(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    for length in range(2, len(raw), effort(7, 1)):
        refuse_costly_jpeg(raw[:length])
