"""The settings in effect, as operators may see them: what may be secret is not shown."""

from __future__ import annotations

import re
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from service.config.limits import OFF, Limit, write_limit

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from service.config.settings import Settings

_HARMLESS_TYPES: Final = (bool, int, NoneType, Limit)
_HARMLESS_TEXTS: Final = frozenset(
    {"device_classes", "dyno", "host", "redis_prefix", "trusted_proxies", "wechat_appid"}
)
_ADDRESSES: Final = frozenset({"avatar_store", "wechat_api_base"})
"""They may have credentials in them."""
_ADDRESS: Final = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^/?#@]*@)?([^?#@]*)(?:[?#][^@]*)?")
_HIDDEN: Final = "***"
_NOTHING: Final = (None, "", ())


class ShownSetting(NamedTuple):
    """One setting."""

    name: str
    """The variable."""
    value: str | None
    """As one would write it; None where it is secret or not set."""
    secret: bool
    is_set: bool
    is_default: bool
    description: str


def shown_settings(settings: Settings) -> list[ShownSetting]:
    """All of them, in the order of Settings.

    A number, a switch or a word of a list is shown. A text is so only if it is known here
    to be no secret: a new setting is one until then.
    """
    return [_shown(settings, name, field) for name, field in type(settings).model_fields.items()]


def _shown(settings: Settings, name: str, field: FieldInfo) -> ShownSetting:
    value = getattr(settings, name)
    is_address = name in _ADDRESSES
    secret = not (is_address or name in _HARMLESS_TEXTS or _is_harmless(field.annotation))
    is_limit = Limit in get_args(field.annotation)
    return ShownSetting(
        name=name.upper(),
        value=None if secret else _written(value, is_address=is_address, is_limit=is_limit),
        secret=secret,
        is_set=is_limit or value not in _NOTHING,
        is_default=value == getattr(_defaults(type(settings)), name),
        description=field.description or "",
    )


@cache
def _defaults(kind: type[Settings]) -> Settings:
    return kind()


def _is_harmless(annotation: Any) -> bool:
    """Whether a value of this type can be no secret."""
    if get_origin(annotation) in {Union, UnionType}:
        return all(_is_harmless(one) for one in get_args(annotation))
    return annotation in _HARMLESS_TYPES or get_origin(annotation) is Literal


def _written(value: Any, *, is_address: bool, is_limit: bool) -> str | None:
    if is_limit:
        return write_limit(value) if value else OFF
    if isinstance(value, bool):
        return str(value).lower()
    if value in _NOTHING:
        return None
    texts = [str(one) for one in (value if isinstance(value, tuple) else (value,))]
    return ",".join(_without_credentials(one) if is_address else one for one in texts)


def _without_credentials(address: str) -> str:
    """Neither user and password nor a query; nothing but the scheme where it is not clear."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        scheme, found, _ = address.partition("://")
        return f"{scheme}://{_HIDDEN}" if found else _HIDDEN
    return match[1] + match[2]
