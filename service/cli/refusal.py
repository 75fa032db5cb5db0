"""Why a command does nothing, or not what it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from service.cli.language import Text

FINE: Final = 0
FAILED: Final = 1
"""Something was found, or did not work."""
MISUSED: Final = 2
"""The settings, or the arguments, cannot be used."""
INTERRUPTED: Final = 130
"""As a shell says it: 128 and the signal's number."""


class Refused(Exception):
    """Ends the command with an exit code."""

    def __init__(self, headline: Text, details: str = "", *, code: int = MISUSED) -> None:
        """`details`: lines below the headline, in English where they come from elsewhere."""
        super().__init__(headline.en)
        self.headline = headline
        self.details = details
        self.code = code
