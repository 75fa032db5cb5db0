"""What may be a nickname."""

from __future__ import annotations

import unicodedata
from typing import Final

# And not `re`: it knows the properties of characters, in the newest Unicode (docs/adr/0019).
import regex

from service.core.errors import (
    LONGEST_NICKNAME,
    NicknameEmpty,
    NicknameInvisible,
    NicknameTooLong,
    NicknameUnusable,
)

ANONYMOUS: Final = "微信用户"
"""What WeChat gives instead of a name since November 2022."""
_ANONYMOUS: Final = {ANONYMOUS, "微信用戶"}
"""In NFKC: by radicals instead of characters the last one becomes the traditional one."""


def _tags(region: str) -> str:
    """What makes a black flag that of a region, in characters of Unicode's Tags block."""
    return "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"


_UNSEEN: Final = regex.compile(
    r"[\p{C}\p{Zl}\p{Zp}"  # control, format, unassigned, private; line and paragraph separators
    r"\p{Default_Ignorable_Code_Point}"  # shown as nothing at all, Hangul fillers among them
    # a Braille cell without dots, a note without a head, the place of an object, Egyptian blanks
    r"\u2800\U0001d159\ufffc\U00013441\U00013442"
    # a filler of Khitan, joiners of Tifinagh and Brahmi, with nothing to join
    r"\U00016fe4\u2d7f\U0001107f]"
)
_IN_PLACE: Final = regex.compile(
    "|".join(
        (
            r"(?<=\p{Extended_Pictographic})[\ufe0e\ufe0f]",  # as text, or as a picture
            r"(?<=[0-9#*])\ufe0f(?=\u20e3)",  # a keycap
            # a family
            r"(?<=[\p{Extended_Pictographic}\ufe0f\p{Emoji_Modifier}])\u200d(?=\p{Extended_Pictographic})",
            rf"(?<=\U0001f3f4)(?:{_tags('gbeng')}|{_tags('gbsct')}|{_tags('gbwls')})",
            r"(?<=\p{Indic_Syllabic_Category=Virama})\u200d(?=\p{L})",  # two letters in one
            r"(?<=\p{Script=Tifinagh})\u2d7f(?=\p{Script=Tifinagh})",  # the same
        )
    )
)
"""Invisible characters where they belong: inside emoji, and between Indic letters."""


_PILE: Final = regex.compile(
    # Accents for any script: after NFC a letter of Vietnamese or Yoruba, a keycap and Arabic
    # vowels have two of them at most.
    r"[[\p{Mn}\p{Me}]&&\p{Script=Inherited}]{3}"
    # Those of scripts: Thai has two in a row, Hebrew, Khmer and Burmese three, Tibetan stacks four.
    r"|[\p{Mn}\p{Me}]{5}"
    r"|^\p{M}",  # it would stand on whatever text is before the name
    regex.VERSION1,
)
"""More marks that take no room of their own than one letter carries in any living language."""


def clean(text: str) -> str:
    """Bring a nickname into its one form: NFC, single spaces inside, none around.

    Raises NicknameEmpty, NicknameTooLong and, for control, direction and other
    invisible characters, by which one user could pass for another,
    NicknameInvisible. NicknameUnusable is for piles of marks, which cover the
    lines above and below, and for ANONYMOUS, spaced, in radicals or in traditional characters.

    Invisible characters are let through where an emoji is made of them (joiners,
    variation selectors, the tags of England's, Scotland's and Wales' flags), and
    U+200D between a virama, the sign of Indic scripts that takes a consonant's
    vowel away, and a letter: Sinhala is not written without it. (IDNA has the
    same rule, RFC 5892, A.2, for more signs.) Nowhere else: not U+200C, for which
    Persian can do with a space, nor the variation selectors of Han and Mongolian,
    since many a font shows the same with and without.
    """
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    if not name:
        raise NicknameEmpty
    if _UNSEEN.search(_IN_PLACE.sub("", name)):
        raise NicknameInvisible
    if _PILE.search(name) or unicodedata.normalize("NFKC", name.replace(" ", "")) in _ANONYMOUS:
        raise NicknameUnusable
    if len(name) > LONGEST_NICKNAME:
        raise NicknameTooLong
    return name
