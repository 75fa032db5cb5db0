"""The variables that give settings: `<NAME>`, or `<NAME>_FILE` with the name of a file that does.

Container platforms mount secrets as files, and what stands in a file can be
read again while the service runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FILE: Final = "_file"


def read_variables(
    settings: Iterable[Sequence[str]], places: Sequence[Mapping[str, str | None]]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values that are set, and what is wrong with files; both by variable, in lower case.

    `settings`: for each the variables that may give it, the one that goes first
    first. `places`: what variables there are, the environment say; the first
    place that gives a setting, by a value or by a file, settles it.
    """
    values: dict[str, str] = {}
    faults: dict[str, str] = {}
    for names in settings:
        for place in places:
            given = {one: _text(place, one) for name in names for one in (name, name + FILE)}
            first = next((one for one in given if given[one]), None)
            if first is None:
                continue
            if first.endswith(FILE):
                text, fault = _read(given[first])
                values[first.removesuffix(FILE)] = text
            else:
                values[first] = given[first]
                fault = f"set it or {first.upper()}, not both" if given[first + FILE] else ""
                first += FILE
            if fault:
                faults[first] = fault
            break
    return {name: text for name, text in values.items() if text}, faults


def _text(place: Mapping[str, str | None], name: str) -> str:
    return (place.get(name) or "").strip()


def _read(path: str) -> tuple[str, str]:
    """The text of a file, and what is wrong with it."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig").strip()
    except OSError as fault:
        return "", f"the file cannot be read: {fault.strerror}"
    except ValueError:
        return "", "the file is not UTF-8"
    # Never taken for unset: somebody may just be writing it, and development would stand in.
    return text, "" if text else "the file is empty"
