"""What WeChat encrypts for a user: its own JSON, and nothing that only resembles it.

encryptedData has no signature, so whoever knows some plaintext can put blocks
together that open (docs/adr/0013-encrypted-data.md). What they cannot choose comes
out as noise, and needs a place where noise does no harm: an unknown field, a key
that counts twice, a free text. Here is none.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

_DEEPEST: Final = 4
_LONGEST_INTEGER: Final = 16
_MOST_ODD: Final = 2

_PHONE: Final = frozenset({"phoneNumber", "purePhoneNumber", "countryCode", "watermark"})
_WATERMARK: Final = frozenset({"timestamp", "appid"})
_NAMES: Final = ("nickName", "city", "province", "country")
_PROFILE: Final = {
    "openId": re.compile(r"[A-Za-z0-9_-]{1,64}"),
    "unionId": re.compile(r"[A-Za-z0-9_-]{0,64}"),
    "language": re.compile(r"[A-Za-z_-]{0,16}"),
    "avatarUrl": re.compile(r"[!#-\[\]-~]{0,2048}"),  # what an address is written with
    **dict.fromkeys(_NAMES, re.compile(r".{0,128}", re.DOTALL)),
}
_LIKE_A_PHONE: Final = _PHONE - {"watermark"}
_LIKE_A_PROFILE: Final = frozenset({"openId", "unionId", "nickName", "avatarUrl"})
_PROFILE_KEYS: Final = _PROFILE.keys() | {"gender", "is_demote", "watermark"}

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_COUNTRY: Final = re.compile(r"[1-9][0-9]{0,3}")
_NUMBER: Final = re.compile(r"[0-9]{4,15}")
_ODD: Final = re.compile("[\0-\x1f\x7f-\x9f\ufffd\ud800-\udfff]")
"""Control characters, and what stands for bytes that are no character."""
_HALF: Final = re.compile("[\ud800-\udfff]")
_HALF_IN_BYTES: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
"""Half of an emoji, as UTF-16 writes it with two: one odd character, and not three."""
_REPLACEMENT: Final = "\ufffd"

_LONGEST_END: Final = 128
_END: Final = re.compile(
    rb',"watermark":\{(?:'
    rb'"timestamp":[0-9]{1,16},"appid":"([A-Za-z0-9_-]{1,64})"'
    rb'|"appid":"([A-Za-z0-9_-]{1,64})","timestamp":[0-9]{1,16}'
    rb")\}\}\Z"
)
"""The end of what WeChat encrypts, in the two orders that its documentation has."""


def parse(plain: bytes) -> tuple[Any, bool]:
    """Read JSON as strictly as can be, and whether nothing follows it.

    What WeChat itself writes into names is let pass: control characters as they are, and
    half an emoji and bytes that are no text, which become U+FFFD. `fault` says where they
    may stand, and how many. Raises ValueError and RecursionError.
    """
    text = _HALF_IN_BYTES.sub(_REPLACEMENT.encode(), plain).decode(errors="replace")
    found, end = _DECODER.raw_decode(text)
    return found, end == len(text)


def fault(payload: object, *, appid: str, openid: str) -> str | None:
    """What keeps this from being WeChat's for this user of this app; None if nothing does.

    A phone number has exactly four fields. A profile has known fields only, and the
    user's `openId` if any. Steps, group ids and what else there is open as long as they
    have none of these two's fields and no odd character anywhere.
    """
    if not isinstance(payload, dict):
        return "form"
    # All is looked at whatever is found: how long it takes must not tell what is wrong.
    watermark = payload.get("watermark")
    mine = isinstance(watermark, dict) and watermark.get("appid") == appid
    user = payload.get("openId", openid) == openid
    keys = payload.keys()
    names = {name: payload[name] for name in _NAMES if name in keys & _PROFILE_KEYS}
    if keys & _LIKE_A_PHONE:
        fits = _is_phone(payload) & _is_clean(payload)
    elif keys & _LIKE_A_PROFILE:
        rest = {key: value for key, value in payload.items() if key not in names}
        fits = _is_profile(payload) & _is_clean(rest) & _are_names(names)
    else:
        fits = _is_clean(payload)
    if not (fits & _is_watermark(watermark)):
        return "form"
    return "appid_mismatch" if not mine else None if user else "openid_mismatch"


def ends_as_wechats(plain: bytes, *, appid: str) -> bool:
    """Whether this text without its padding ends in this app's watermark, to the letter.

    Then the key is the right one, whatever else is wrong. To learn that is to learn
    nothing: a block that is not WeChat's own makes noise of the end that follows it.
    """
    end = _END.search(plain[-_LONGEST_END:])
    return end is not None and appid.encode() in end.groups()


def without_odd(name: str) -> str:
    """A name without what is no text: control characters, and what stands for broken ones."""
    return _ODD.sub("", " ".join(name.split()))


def is_phone(payload: dict[str, Any]) -> bool:
    """Whether a payload without a fault is a phone number."""
    return "purePhoneNumber" in payload


def country_code(given: object) -> str | None:
    """The country of a number as text: the documentation has it as text here, a number there."""
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    return given if isinstance(given, str) and given else None


def _is_phone(payload: dict[str, Any]) -> bool:
    country = country_code(payload.get("countryCode")) or ""
    pure, whole = payload.get("purePhoneNumber"), payload.get("phoneNumber")
    if not isinstance(pure, str) or not isinstance(whole, str):
        return False
    # Foreign numbers come with their country, says the documentation, and not how.
    prefix = whole.removesuffix(pure)
    return (
        payload.keys() == _PHONE
        and _COUNTRY.fullmatch(country) is not None
        and _NUMBER.fullmatch(pure) is not None
        and whole.endswith(pure)
        and prefix in {"", country, f"+{country}", f"+{country} ", f"+{country}-"}
    )


def _is_profile(payload: dict[str, Any]) -> bool:
    gender, demoted = payload.get("gender", 0), payload.get("is_demote", False)
    return (
        payload.keys() <= _PROFILE_KEYS
        and "nickName" in payload
        and all(
            isinstance(payload.get(key, "x"), str) and shape.fullmatch(payload.get(key, "x"))
            for key, shape in _PROFILE.items()
        )
        and _is_integer(gender)
        and gender in {0, 1, 2}
        and isinstance(demoted, bool)
    )


def _is_watermark(watermark: object) -> bool:
    return (
        isinstance(watermark, dict)
        and watermark.keys() == _WATERMARK
        and isinstance(watermark["appid"], str)
        and _is_integer(watermark["timestamp"])
    )


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_names(names: dict[str, Any]) -> bool:
    """Whether they are as odd as some names are, and no odder: noise would be."""
    texts = [name for name in names.values() if isinstance(name, str)]
    return sum(len(_ODD.findall(text)) for text in texts) <= _MOST_ODD


def _is_clean(value: object, levels: int = _DEEPEST) -> bool:
    if isinstance(value, str):
        return _ODD.search(value) is None
    if not isinstance(value, dict | list):
        return True
    if not levels:
        return False
    if isinstance(value, list):
        return all(_is_clean(item, levels - 1) for item in value)
    return all(_KEY.fullmatch(key) and _is_clean(one, levels - 1) for key, one in value.items())


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {key: _whole(value) for key, value in pairs}
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not value.isascii():
        return _HALF.sub(_REPLACEMENT, value)
    return value


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise ValueError("more than WeChat counts")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("no number")
    return number


def _refuse(_text: str) -> NoReturn:
    raise ValueError("no number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_refuse,
    strict=False,
)
