"""Phones store a picture as the sensor saw it and say beside it how it was held."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from PIL.Image import Transpose

from service.pictures.avatar import normalize_avatar

ORIENTATION = 0x0112
CAMERA = 0x010F
CORNERS = ("red", "lime", "blue", "white")

# How each orientation of EXIF was held, as what turns the upright picture into the stored one.
STORED = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def upright() -> Image.Image:
    """Twice as wide as high, with another colour in each corner."""
    picture = Image.new("RGB", (80, 40))
    for number, colour in enumerate(CORNERS):
        picture.paste(colour, (number % 2 * 40, number // 2 * 20, 80, 40))
    return picture


def corners(picture: Image.Image) -> list[tuple[int, ...]]:
    """The colours there, rounded to full or none."""
    right, bottom = picture.width - 4, picture.height - 4
    found = [picture.getpixel(at) for at in ((3, 3), (right, 3), (3, bottom), (right, bottom))]
    return [tuple(round(part / 255) for part in one) for one in found if isinstance(one, tuple)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_is_upright_however_the_phone_was_held(kind: str, orientation: int) -> None:
    turned = STORED[orientation]
    stored = upright() if turned is None else upright().transpose(turned)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[CAMERA] = "somebody's phone"
    file = io.BytesIO()
    stored.save(file, kind, exif=exif)

    made = normalize_avatar(file.getvalue())
    shown = Image.open(io.BytesIO(made))
    assert shown.size == (80, 40)
    assert corners(shown) == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]
    assert not shown.getexif()
    assert b"somebody" not in made
