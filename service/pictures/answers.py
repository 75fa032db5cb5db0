"""What the process that decodes a picture may answer instead of one."""

from __future__ import annotations

from typing import Final

REFUSED: Final = 3
"""Exit code: the picture is not taken, and the output says why, for the client."""
FAILED: Final = 4
"""Exit code: something is wrong with us, and the output is the kind of exception, for the log."""


class NotAPicture(ValueError):
    """The bytes are no JPEG, PNG or WebP that can be used; the text says why."""
