"""What the processes of stand-ins see of the environment."""

from __future__ import annotations

import os
from typing import Final

_PASSED_ON: Final = frozenset(
    {"HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV"}
)
_PASSED_ON_BY_PREFIX: Final = ("LC_", "PYTHON")


def stand_in_environment() -> dict[str, str]:
    """Where programs, modules and folders are, and nothing of whoever started the service."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_BY_PREFIX)
    }
