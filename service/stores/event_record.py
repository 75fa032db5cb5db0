"""An event as it is kept: a JSON object of the fields that say something."""

from __future__ import annotations

from typing import Any, Final, get_args

import orjson

from service.core.events import Event, EventName

FIELD: Final = b"e"
"""Of an entry of the stream: the only one."""
_WRITTEN: Final = Event._fields[:-1]
"""Without the id, which is the entry's."""
_TEXTS: Final = _WRITTEN[1:]
_NAMES: Final = frozenset(get_args(EventName))


def write(event: Event) -> bytes:
    """The event without its id."""
    told = zip(_WRITTEN, event, strict=False)
    return orjson.dumps({name: value for name, value in told if value})


def read(raw: bytes, *, id: str) -> Event | None:  # noqa: A002 # the field's name
    """The event that was kept as the entry `id`; None for what is none of ours."""
    try:
        fields: dict[str, Any] = orjson.loads(raw)
        at, texts = fields["at"], [fields.get(name, "") for name in _TEXTS]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if type(at) is not int or not all(isinstance(one, str) for one in texts):
        return None
    return Event._make((at, *texts, id)) if texts[0] in _NAMES else None
