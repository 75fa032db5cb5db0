"""Turning whatever a user uploads into an avatar. For the child process: it imports Pillow."""

from __future__ import annotations

import io
from typing import Final

from PIL import (
    Image,
    ImageChops,
    ImageOps,
    MpoImagePlugin,  # noqa: F401 # reads JPEGs with a second picture; and, by its own imports, EXIF
    WebPImagePlugin,  # noqa: F401
)

from service.pictures.answers import NotAPicture
from service.pictures.jpeg import START, refuse_costly_jpeg

SIDE: Final = 512
"""Pixels: enough for any screen, and under 100 KB."""
MOST_PIXELS: Final = 25_000_000
"""The most that a picture may claim: a phone's camera makes 12 million, a bomb says many more."""
MOST_DECODED: Final = 9_000_000
"""The most that are decoded, at 4 bytes each: a tablet's screen has 6 million."""
MOST_DECODED_WEBP: Final = 3_200_000
"""The same for a WebP, whose pixels Pillow keeps four times over."""
MOST_FRAMES: Final = 100
"""Of an animation; the first is taken."""
# What Pillow would load when it needs it, as the two above: the child can open no file by then.
Image.preinit()
_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_QUALITY: Final = 85
_TOO_MANY: Final = "too many pixels"


def normalize_avatar(raw: bytes) -> bytes:
    """A JPEG of at most SIDE pixels a side, upright, without metadata.

    The type is told from the bytes, whatever the upload calls itself, and only
    pixels get through: nothing hidden in the file survives. Raises NotAPicture.
    """
    try:
        if raw.startswith(START):
            refuse_costly_jpeg(raw)
        with Image.open(io.BytesIO(raw), formats=_FORMATS) as picture:
            _refuse_over(MOST_PIXELS, picture)
            picture.draft("RGB", (SIDE, SIDE))  # lets JPEG decode at a fraction of its size
            _refuse_over(MOST_DECODED_WEBP if picture.format == "WEBP" else MOST_DECODED, picture)
            if getattr(picture, "n_frames", 1) > MOST_FRAMES:
                raise NotAPicture("too many frames")
            return _jpeg(ImageOps.exif_transpose(_thumbnail(picture)))
    except NotAPicture:
        raise
    except Image.DecompressionBombError:
        raise NotAPicture(_TOO_MANY) from None
    except Exception as fault:  # decoders raise all sorts on damaged files
        if raw[8:12] == b"WEBP":  # whose decoder takes the memory for its pixels before it tells
            raise NotAPicture("damaged, or too many pixels for a WebP") from fault
        raise NotAPicture("damaged, or not a JPEG, PNG or WebP") from fault


def _refuse_over(most: int, picture: Image.Image) -> None:
    if picture.width * picture.height > most:
        raise NotAPicture(_TOO_MANY)


def _thumbnail(picture: Image.Image) -> Image.Image:
    """It is made before anything makes a copy of the whole, and on white: JPEG is opaque."""
    if picture.mode not in {"RGBA", "LA"}:
        picture.thumbnail((SIDE, SIDE))
        return picture
    # Pillow would scale these by way of a copy. One channel at a time is a quarter of it.
    picture.load()
    picture.paste("white", mask=ImageChops.invert(picture.getchannel("A")))
    channels = []
    for name in picture.getbands()[:-1]:
        channel = picture.getchannel(name)
        channel.thumbnail((SIDE, SIDE))
        channels.append(channel)
    opaque = Image.merge(picture.mode[:-1], channels)
    opaque.info = picture.info  # which way is up
    return opaque


def _jpeg(picture: Image.Image) -> bytes:
    # What is transparent still, by a colour of a palette, is white too.
    layers = picture.convert("RGBA")
    canvas = Image.new("RGB", layers.size, "white")
    canvas.paste(layers, mask=layers.getchannel("A"))
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
