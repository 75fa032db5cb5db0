"""Pictures: honest ones, and those that are made to do harm."""

from __future__ import annotations

import io
import re
from functools import cache
from typing import Any

from PIL import Image

LARGEST = 2 * 1024 * 1024
"""Bytes that an upload may have by default."""
BOUNDARY = "Frontier"

_SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00"
"""One without any coded pixels: a decoder passes over the whole picture for it all the same."""
_END = b"\xff\xd9"


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def claiming(size: tuple[int, int], jpeg: bytes) -> bytes:
    """A JPEG that says it is of another size; what is missing is grey."""
    at = re.search(rb"\xff[\xc0\xc2]\0", jpeg)
    assert at, "it has no frame"
    width, height = (one.to_bytes(2) for one in size)
    return jpeg[: at.start() + 5] + height + width + jpeg[at.start() + 9 :]


@cache
def honest(size: tuple[int, int] = (1080, 1080)) -> bytes:
    """What a phone has left after it cut a square out of a photo."""
    gradient = Image.linear_gradient("L").resize(size)
    turned = gradient.transpose(Image.Transpose.ROTATE_180)
    return encoded(Image.merge("RGB", (gradient, turned, gradient)), "JPEG")


@cache
def many_scans(scans: int, size: tuple[int, int] = (3000, 3000)) -> bytes:
    """A progressive JPEG with so many scans more than it needs."""
    plain = encoded(Image.new("L", size, 100), "JPEG", progressive=True)
    return plain.removesuffix(_END) + _SCAN * scans + _END


@cache
def scan_bomb() -> bytes:
    """Two megabytes of scans: twenty minutes of a core."""
    return many_scans(LARGEST // len(_SCAN) - 5000)


@cache
def pixel_bomb(size: tuple[int, int] = (5000, 5000)) -> bytes:
    """Some kilobytes of PNG that are 100 MB of pixels, just as many as may be claimed."""
    return encoded(Image.new("RGBA", size, "teal"), "PNG", compress_level=1)


@cache
def cmyk(size: tuple[int, int] = (5000, 5000)) -> bytes:
    """A progressive JPEG of four components: 200 MB while it is decoded."""
    return claiming(size, encoded(Image.new("CMYK", (8, 8)), "JPEG", progressive=True))


def part(
    content: bytes, *, filename: str | None = "tmp.png", boundary: str = BOUNDARY, more: str = ""
) -> bytes:
    """One part of a form; `more`: further header lines, each with its line break."""
    name = "" if filename is None else f'; filename="{filename}"'
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="avatar"{name}\r\n{more}\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes, boundary: str = BOUNDARY) -> bytes:
    """A whole body."""
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def form_headers(boundary: str = BOUNDARY) -> dict[str, str]:
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}


@cache
def one_letter_form() -> bytes:
    """Two megabytes in which the boundary of the form, a single letter, is everywhere."""
    return form(part(b"Z" * LARGEST, boundary="Z"), boundary="Z")
