"""By which a test says what it measured."""

from __future__ import annotations

from collections.abc import Callable

Figure = Callable[[str], None]
"""The fixture `figure`: prints a text, which also goes into docs/reliability.md."""
