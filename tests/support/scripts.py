"""The Lua scripts of the stores, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from service import stores
from service.redis.scripts import Script

_LUA: Final = Path(stores.__path__[0]) / "lua"


def script(name: str) -> Script:
    """A fenced one."""
    return Script(_LUA / f"{name}.lua")
