"""Texts in English and Chinese, and which of both somebody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Language: TypeAlias = Literal["en", "zh"]

OPTION: Final = "--lang"
_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")


class Text(NamedTuple):
    """One text; `{name}` in it stands for a value, the same ones in both languages."""

    en: str
    zh: str

    def in_(self, language: Language, /, **values: object) -> str:
        """The text with the values put in."""
        text = self.zh if language == "zh" else self.en
        return text.format(**values) if values else text


def language_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Language:
    """What `--lang` says, else the first variable of the locale that is set; else English."""
    for at, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == OPTION:
            value = value or next(iter(arguments[at + 1 :]), "")
            if value in {"en", "zh"}:
                return "zh" if value == "zh" else "en"
    locale = next((text for name in _VARIABLES if (text := environment.get(name))), "")
    return "zh" if locale.lower().startswith("zh") else "en"
