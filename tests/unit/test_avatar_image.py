"""Phones store a picture as the sensor saw it and say beside it how it was held."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from PIL.Image import Transpose

from service.pictures.answers import NotAPicture
from service.pictures.avatar import MOST_FRAMES, normalize_avatar
from tests.support.pictures import encoded

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
    made = normalize_avatar(encoded(stored, kind, exif=exif))
    shown = Image.open(io.BytesIO(made))
    assert shown.size == (80, 40)
    assert corners(shown) == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]
    assert not shown.getexif()
    assert b"somebody" not in made


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("size", [(80, 40), (2000, 1000)])
def test_what_is_transparent_becomes_white_whatever_colour_it_hides(
    kind: str, mode: str, size: tuple[int, int]
) -> None:
    picture = Image.new(mode, size, "black")
    picture.putalpha(0)
    picture.paste("black", (0, 0, size[0] // 2, size[1]))  # the left half is opaque
    exif = Image.Exif()
    exif[ORIENTATION] = 3  # upside down
    shown = Image.open(io.BytesIO(normalize_avatar(encoded(picture, kind, exif=exif))))
    assert shown.size == (min(size[0], 512), min(size[1], 256))
    assert corners(shown) == [(1, 1, 1), (0, 0, 0), (1, 1, 1), (0, 0, 0)]


def test_half_of_a_colour_is_half_white() -> None:
    faint = encoded(Image.new("RGBA", (900, 900), (200, 0, 0, 128)), "PNG")
    shown = Image.open(io.BytesIO(normalize_avatar(faint)))
    pixel = shown.getpixel((250, 250))
    assert isinstance(pixel, tuple)
    assert all(abs(got - due) < 4 for got, due in zip(pixel, (227, 127, 127), strict=True))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_any_mode_of_a_picture_is_taken(mode: str) -> None:
    picture = Image.new(mode, (900, 600))
    shown = Image.open(
        io.BytesIO(normalize_avatar(encoded(picture, "JPEG" if mode == "CMYK" else "PNG")))
    )
    assert (shown.size, shown.mode) == ((512, 341), "RGB")


def test_of_two_pictures_in_one_jpeg_the_first_is_taken() -> None:
    """As phones with a depth or brightness map have them."""
    both = encoded(
        Image.new("RGB", (90, 60), "red"),
        "MPO",
        save_all=True,
        append_images=[Image.new("RGB", (9, 6), "blue")],
    )
    assert corners(Image.open(io.BytesIO(normalize_avatar(both)))) == [(1, 0, 0)] * 4


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_picture_is_taken_unless_there_are_too_many(kind: str) -> None:
    def animation(frames: int) -> bytes:
        # No two alike in a row, or they would be saved as one.
        more = [Image.new("RGB", (60, 30), color) for color in ("lime", "blue")] * (frames // 2)
        return encoded(
            Image.new("RGB", (60, 30), "red"), kind, save_all=True, append_images=more[: frames - 1]
        )

    first = Image.open(io.BytesIO(normalize_avatar(animation(MOST_FRAMES))))
    assert corners(first) == [(1, 0, 0)] * 4
    with pytest.raises(NotAPicture, match="frames"):
        normalize_avatar(animation(MOST_FRAMES + 1))


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("PNG", (3000, 3001)),
        ("WEBP", (2000, 1601)),
        ("JPEG", (5000, 5001)),
        ("JPEG", (65000, 139)),
        ("PNG", (14000, 14000)),
    ],
)
def test_a_picture_with_too_many_pixels_is_refused(kind: str, size: tuple[int, int]) -> None:
    with pytest.raises(NotAPicture, match="too many pixels"):
        normalize_avatar(encoded(Image.new("1" if kind == "PNG" else "RGB", size), kind))
