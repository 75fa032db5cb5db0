"""What operators type to find users, brought into the form in which it is kept."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from service.core.errors import InvalidRequest
from service.core.models import Phone

if TYPE_CHECKING:
    from service.core.models import SearchField

_LONGEST: Final = 64
"""Characters; no id, openid, unionid or nickname has more."""
_NO_TEXT: Final = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_CHINA: Final = "86"
_LOCAL_PHONE: Final = re.compile(r"[0-9]{4,15}")
_PHONE: Final = re.compile(r"\+?([1-9][0-9]{0,3}) ([0-9]{4,15})")
"""Also without the plus sign, which in a URL that was not encoded stands for a space."""


def search_value(field: SearchField, text: str) -> str:
    """`text` as the user store knows it; raises InvalidRequest that names the field."""
    # Of a nickname a space at the end stays: "Ann " finds Ann Lee, and not Anna.
    value = text.lstrip() if field == "nickname" else text.strip()
    if not value:
        raise InvalidRequest(field, "missing")
    if len(value) > _LONGEST:
        raise InvalidRequest(field, f"longer than {_LONGEST} characters")
    if field == "phone":
        return _phone(value).number
    if field == "nickname":
        if _NO_TEXT.search(value):
            raise InvalidRequest(field, "a control character, or half of an emoji")
        return unicodedata.normalize("NFC", value)
    if not is_name(value):
        raise InvalidRequest(field, "only letters, digits, - and _")
    return value


def is_name(text: str) -> bool:
    """Whether it can be an id of ours or of WeChat's at all."""
    return _NAME.fullmatch(text) is not None


def _phone(text: str) -> Phone:
    if _LOCAL_PHONE.fullmatch(text):
        return Phone.of(_CHINA, text)
    match = _PHONE.fullmatch(text)
    if match is None:
        raise InvalidRequest("phone", "13800000001, or +<country> <number>")
    return Phone.of(*match.groups())
