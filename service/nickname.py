"""What may be a nickname."""

from __future__ import annotations

import unicodedata
from typing import Final

LONGEST: Final = 32
"""Code points; a family emoji is seven of them."""

ANONYMOUS: Final = "微信用户"
"""What WeChat gives instead of a name since November 2022."""

# Invisible characters that belong inside emoji, and nowhere else.
_JOINERS: Final = frozenset("\u200d\ufe0e\ufe0f")
_TAGS: Final = frozenset(map(chr, range(0xE0020, 0xE0080)))
_FORBIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class BadNickname(ValueError):
    """A text that cannot be a nickname; says why."""


def clean(text: str) -> str:
    """Bring a nickname into its one form: NFC, single spaces inside, none around.

    Raises BadNickname for an empty or overlong one, and for control, direction
    and other invisible characters, by which one user could pass for another.
    """
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    if any(_forbidden(character) for character in name):
        raise BadNickname("contains characters that cannot be seen")
    visible = [character for character in name if character not in _JOINERS | _TAGS]
    if not "".join(visible).strip():
        raise BadNickname("is empty")
    if len(name) > LONGEST:
        raise BadNickname(f"is longer than {LONGEST} characters")
    return name


def _forbidden(character: str) -> bool:
    if character in _JOINERS or character in _TAGS:
        return False
    return unicodedata.category(character) in _FORBIDDEN
