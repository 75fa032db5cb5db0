"""Turning whatever a user uploads into an avatar."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import Image

SIDE: Final = 512
"""Pixels: enough for any screen, and under 100 KB."""
MOST_PIXELS: Final = 25_000_000
"""The most that a picture may claim: a phone's camera makes 12 million, a bomb says many more."""
MOST_DECODED: Final = 9_000_000
"""The most that are decoded, at up to 8 bytes each: a tablet's screen has 6 million."""
_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_QUALITY: Final = 85


class NotAPicture(ValueError):
    """The bytes are no JPEG, PNG or WebP that can be used."""


def normalize_avatar(raw: bytes) -> bytes:
    """A JPEG of at most SIDE pixels a side, upright, without metadata.

    The type is told from the bytes, whatever the upload calls itself, and only
    pixels get through: nothing hidden in the file survives. Blocks: run it in a
    thread. Raises NotAPicture.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415 # 2 MB that many workers never need

    try:
        with Image.open(io.BytesIO(raw), formats=_FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise NotAPicture("too many pixels")
            picture.draft("RGB", (SIDE, SIDE))  # lets JPEG decode at a fraction of its size
            if picture.width * picture.height > MOST_DECODED:
                raise NotAPicture("too many pixels for a PNG or WebP")
            picture.thumbnail((SIDE, SIDE))  # before anything makes a copy of it
            return _jpeg(ImageOps.exif_transpose(picture))
    except NotAPicture:
        raise
    except Exception as fault:  # decoders raise all sorts on damaged files
        raise NotAPicture("damaged, or not a JPEG, PNG or WebP") from fault


def _jpeg(picture: Image.Image) -> bytes:
    from PIL import Image  # noqa: PLC0415

    # JPEG has no transparency: what shines through is white.
    layers = picture.convert("RGBA")
    canvas = Image.new("RGB", layers.size, "white")
    canvas.paste(layers, mask=layers.getchannel("A"))
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
