"""Whether a secret looks made by a machine, and not typed until it was long enough."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Final

LEAST_BYTES: Final = 24


def looks_random(secret: str) -> bool:
    """Whether it keeps LEAST_BYTES or more when it is compressed, and so do its differences.

    `aaaa...`, `changeme` over and over, and short patterns shrink by themselves;
    `abcdef...`, `0123...` and `9876...` as the steps from one character to the next,
    which are all the same there. Of what is random, the least compact that
    platforms generate, 32 hexadecimal digits, keeps 28 bytes or more (of a million
    none had fewer). It knows no words: a sentence of 32 letters passes.
    """
    text = secret.encode(errors="surrogateescape")
    steps = bytes((after - before) % 256 for before, after in pairwise(text))
    return min(_compressed(text), _compressed(steps)) >= LEAST_BYTES


def _compressed(data: bytes) -> int:
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)  # bare: no header, no checksum
    return len(deflate.compress(data) + deflate.flush())
