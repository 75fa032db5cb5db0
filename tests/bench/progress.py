"""What a long measurement says meanwhile."""

from __future__ import annotations

import time


class Progress:
    """Prints how far it is, with the time since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        """One line."""
        elapsed = int(time.monotonic() - self._began)
        print(f"{elapsed // 60}:{elapsed % 60:02}  {text}", flush=True)
