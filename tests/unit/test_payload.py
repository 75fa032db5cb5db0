"""The forms of what WeChat encrypts, and what only resembles them."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.payload import ends_as_wechats, fault, parse, without_odd
from tests.support.settings import APPID

OPENID: Final = "oGZUI0egBJY1zhBYw2KhdUfwVJJE"
WATERMARK: Final = {"timestamp": 1_700_000_000, "appid": APPID}
PHONE: Final = {
    "phoneNumber": "13580006666",
    "purePhoneNumber": "13580006666",
    "countryCode": "86",
    "watermark": WATERMARK,
}
FOREIGN: Final = {
    **PHONE,
    "phoneNumber": "+85261234567",
    "purePhoneNumber": "61234567",
    "countryCode": "852",
}
PROFILE: Final = {
    "openId": OPENID,
    "nickName": "Band",
    "gender": 1,
    "language": "zh_CN",
    "city": "Guangzhou",
    "province": "Guangdong",
    "country": "CN",
    "avatarUrl": "http://wx.qlogo.cn/mmopen/vi_32/aSKcBBPpibyK/0",
    "unionId": "ocMvos6NjeKLIBqg5Mr9QjxrP1FA",
    "watermark": WATERMARK,
}
ANONYMOUS: Final = {
    "nickName": "微信用户",
    "gender": 0,
    "language": "",
    "city": "",
    "province": "",
    "country": "",
    "avatarUrl": "https://thirdwx.qlogo.cn/mmopen/vi_32/POgEwh4mIHO4nibH0KlMECNjjGxQ/132",
    "is_demote": True,
    "watermark": WATERMARK,
}
STEPS: Final = {
    "stepInfoList": [{"timestamp": 1_699_900_000 + day, "step": 100 * day} for day in range(31)],
    "watermark": WATERMARK,
}


def read(plain: bytes | str | dict[str, Any]) -> dict[str, Any] | str:
    """The payload, or why it is none."""
    if isinstance(plain, dict):
        plain = orjson.dumps(plain)
    try:
        found, complete = parse(plain.encode() if isinstance(plain, str) else plain)
    except ValueError:
        return "no JSON"
    except RecursionError:
        return "too deep"
    if not complete:
        return "more follows"
    wrong = fault(found, appid=APPID, openid=OPENID)
    if wrong:
        return wrong
    orjson.dumps(found)  # an answer can be made of it
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "payload",
    [
        PHONE,
        {**PHONE, "countryCode": 86},
        FOREIGN,
        *({**FOREIGN, "phoneNumber": f"{mark}61234567"} for mark in ("", "852", "+852 ", "+852-")),
        {**PHONE, "phoneNumber": "+8613580006666"},
        PROFILE,
        {key: value for key, value in PROFILE.items() if key != "unionId"},
        ANONYMOUS,
        {**PROFILE, "nickName": "🌿小明👨\u200d👩\u200d👧"},
        STEPS,
        {"openGId": "tGTvn5Dp7NKmQ8VIbOhnCsQ6jr5E", "watermark": WATERMARK},
        {
            "openGId": "tGABC",
            "chat_type": 3,
            "more": {"is": [1.5, None, True]},
            "watermark": WATERMARK,
        },
    ],
)
def test_what_wechat_sends_opens(payload: dict[str, Any]) -> None:
    assert read(payload) == payload
    spaced = json.dumps(payload, indent=1)  # how WeChat writes its JSON is not documented
    assert read(spaced) == payload


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        (b"A\x14da", "A\x14da"),
        (b"A\\u0014da", "A\x14da"),
        (b"line\none", "line\none"),
        ("小明\U0001f600".encode()[:-1], "小明\ufffd"),
        ("小明\U0001f600".encode()[:-3], "小明\ufffd"),
        ("小明".encode()[:-1], "小\ufffd"),
        (b"Ada \xed\xa0\xbd", "Ada \ufffd"),
        (b"Ada \xed\xa0\xbd!", "Ada \ufffd!"),
        (b"Ada \\ud83d", "Ada \ufffd"),
        (b"Ada \\ud83d\\ude00", "Ada \U0001f600"),
        (b"A\x14da \xed\xa0\xbd", "A\x14da \ufffd"),
        (b"\xffda", "\ufffdda"),
        (b"\xd6da", "\ufffdda"),
        (b"A\xe5\xb0da", "A\ufffdda"),  # a letter cut off in the midst
        (b"A\xffd\xd6", "A\ufffdd\ufffd"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "\ufffd\ufffd"),
    ],
)
def test_a_name_may_hold_what_wechat_writes_into_it(name: bytes, seen: str) -> None:
    plain = orjson.dumps(PROFILE).replace(b'"Band"', b'"%b"' % name)
    assert read(plain) == {**PROFILE, "nickName": seen}
    elsewhere = orjson.dumps({**PROFILE, "language": "@"}).replace(b'"@"', b'"%b"' % name)
    assert read(elsewhere) == "form"
    group = b'{"openGId":"%b","watermark":%b}' % (name, orjson.dumps(WATERMARK))
    odd = any(not sign.isprintable() or sign == "\ufffd" for sign in seen)
    assert (read(group) == "form") is odd


def test_noise_is_no_name() -> None:
    """Sixteen bytes of it, as between blocks that do not belong together: a block cipher's."""
    opened, rng = 0, random.Random(1)
    for _ in range(60_000):
        noise = rng.randbytes(16)
        opened += isinstance(read(orjson.dumps(PROFILE).replace(b"Band", noise)), dict)
    assert 0 < opened <= 60  # 1 in 2,800, which docs/adr/0029 counts on


PHONE_FAULTS: Final[dict[str, Any]] = {
    "no phoneNumber": {"phoneNumber": ...},
    "no purePhoneNumber": {"purePhoneNumber": ...},
    "no countryCode": {"countryCode": ...},
    "one more": {"a": ""},
    "a profile's field": {"nickName": "Band"},
    "another phoneNumber": {"phoneNumber": "13580006667"},
    "another country in it": {"phoneNumber": "+8713580006666"},
    "junk before it": {"phoneNumber": "8+613580006666"},
    "no digits": {"phoneNumber": "1358000666a", "purePhoneNumber": "1358000666a"},
    "Arabic digits": {"phoneNumber": "١٣٥٨٠٠٠٦٦٦٦", "purePhoneNumber": "١٣٥٨٠٠٠٦٦٦٦"},
    "full-width digits": {"phoneNumber": "１３５８", "purePhoneNumber": "１３５８"},
    "a line break": {"phoneNumber": "13580006666\n", "purePhoneNumber": "13580006666\n"},
    "too long": {"phoneNumber": "1" * 16, "purePhoneNumber": "1" * 16},
    "empty": {"phoneNumber": "", "purePhoneNumber": ""},
    "a number": {"phoneNumber": 13580006666, "purePhoneNumber": 13580006666},
    "country true": {"countryCode": True},
    "country 0": {"countryCode": 0},
    "country 086": {"countryCode": "086"},
    "country +86": {"countryCode": "+86"},
    "country null": {"countryCode": None},
    "country 86.0": {"countryCode": 86.0},
    "country a list": {"countryCode": ["86"]},
}
PROFILE_FAULTS: Final[dict[str, Any]] = {
    "one more": {"a": ""},
    "a phone's field": {"countryCode": "86"},
    "somebody else's": {"openId": OPENID[::-1]},
    "openId null": {"openId": None},
    "openId empty": {"openId": ""},
    "unionId a list": {"unionId": []},
    "no nickName": {"nickName": ...},
    "nickName a number": {"nickName": 1},
    "nickName deep": {"nickName": [[["x"]]]},
    "nickName endless": {"nickName": "x" * 129},
    "nickName odd": {"nickName": "a\x01b\x02c\x03"},
    "names odd": {"nickName": "a\x01", "city": "b\x02", "country": "c\x03"},
    "gender true": {"gender": True},
    "gender 3": {"gender": 3},
    "gender text": {"gender": "1"},
    "language odd": {"language": "zh\x14CN"},
    "avatarUrl of everything": {"avatarUrl": "http://微信/"},
    "is_demote 1": {"is_demote": 1},
}
WATERMARKS: Final[dict[str, Any]] = {
    "another app's": {**WATERMARK, "appid": "wx0000000000000000"},
    "one more": {**WATERMARK, "more": 1},
    "no appid": {"timestamp": 1},
    "no timestamp": {"appid": APPID},
    "true": {**WATERMARK, "timestamp": True},
    "text": {**WATERMARK, "timestamp": "1700000000"},
    "a fraction": {**WATERMARK, "timestamp": 1_700_000_000.0},
    "a list": [WATERMARK],
    "null": None,
    "none": ...,
}


def changed(payload: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """With these fields instead; without those that are `...`."""
    return {key: value for key, value in {**payload, **fields}.items() if value is not ...}


@pytest.mark.parametrize("what", PHONE_FAULTS)
def test_what_resembles_a_phone_number_is_none(what: str) -> None:
    assert read(changed(PHONE, PHONE_FAULTS[what])) == "form"


@pytest.mark.parametrize("what", PROFILE_FAULTS)
def test_what_resembles_a_profile_is_none(what: str) -> None:
    assert read(changed(PROFILE, PROFILE_FAULTS[what])) in {"form", "openid_mismatch"}


@pytest.mark.parametrize("what", WATERMARKS)
@pytest.mark.parametrize("payload", [PHONE, PROFILE, STEPS], ids=["phone", "profile", "steps"])
def test_nothing_opens_without_the_apps_watermark(payload: dict[str, Any], what: str) -> None:
    found = read(changed(payload, {"watermark": WATERMARKS[what]}))
    assert found == ("appid_mismatch" if what == "another app's" else "form")


TEXT: Final = orjson.dumps(PHONE).decode()
GROUP: Final = '{"openGId":"tGABC","x":%s,"watermark":' + orjson.dumps(WATERMARK).decode() + "}"


@pytest.mark.parametrize(
    ("plain", "why"),
    [
        (TEXT.replace("{", '{"countryCode":"1",', 1), "no JSON"),  # a key twice
        (TEXT.replace('{"timestamp"', '{"appid":"x","timestamp"'), "no JSON"),
        (GROUP % '[{"a":1,"a":1}]', "no JSON"),
        (GROUP % r'{"a":1,"\u0061":1}', "no JSON"),
        (" " + TEXT, "no JSON"),
        ("\ufeff" + TEXT, "no JSON"),
        (TEXT + " ", "more follows"),
        (TEXT + "\0", "more follows"),
        (TEXT + TEXT, "more follows"),
        ("", "no JSON"),
        ("null", "form"),
        (f"[{TEXT}]", "form"),
        (GROUP % "NaN", "no JSON"),
        (GROUP % "-Infinity", "no JSON"),
        (GROUP % "1e999", "no JSON"),
        (GROUP % "12345678901234567890", "no JSON"),
        (GROUP % ("1" * 5000), "no JSON"),
        (GROUP % '"\x14"', "form"),
        (GROUP % r'"\ud83d"', "form"),
        (GROUP % r'["\ud83d"]', "form"),
        (GROUP % r'{"\u0014":1}', "form"),
        (GROUP % '{"":1}', "form"),
        (GROUP % '"\x80"', "form"),
        (GROUP % ("[" * 8 + "]" * 8), "form"),
        (GROUP % ("[" * 3000 + "]" * 3000), "too deep"),
        ('{"a":' * 3000, "too deep"),
        (f'{{"nickName":{"[" * 900}{"]" * 900},"watermark":{{}}}}', "form"),
    ],
)
def test_other_json_is_none_of_wechats(plain: str, why: str) -> None:
    assert read(plain) == why


@pytest.mark.parametrize(
    "junk", [b"\xff\xfe\xfd", b"\x80\x80\x80", "\u4e2d\u6587\u5b57".encode("gbk")]
)
def test_more_than_two_odd_bytes_are_no_name(junk: bytes) -> None:
    assert read(orjson.dumps(PROFILE).replace(b"Band", junk)) == "form"


@pytest.mark.parametrize("junk", [b"\xff", b"\x80", b"\xc3(", b"\xed\xa0\xbd\xff"])
def test_bytes_that_are_no_text_stand_in_names_alone(junk: bytes) -> None:
    assert isinstance(read(orjson.dumps(PROFILE).replace(b"Band", junk)), dict)
    assert read(orjson.dumps(PROFILE).replace(b"zh_CN", junk)) == "form"
    assert read(orjson.dumps(PROFILE).replace(b"http:", b"http" + junk)) == "form"
    assert read(orjson.dumps(PHONE).replace(b"86", junk)) == "form"
    assert read(orjson.dumps(PHONE).replace(b"countryCode", junk)) == "form"
    assert read(GROUP.encode() % (b'"%b"' % junk)) == "form"


@pytest.mark.parametrize(
    ("plain", "genuine"),
    [
        (orjson.dumps(PHONE), True),
        (orjson.dumps(PROFILE), True),
        (orjson.dumps({**PHONE, "watermark": {"appid": APPID, "timestamp": 1}}), True),
        (b'\xff\xff,"watermark":{"timestamp":1,"appid":"%b"}}' % APPID.encode(), True),
        (orjson.dumps(PHONE)[:-1], False),
        (orjson.dumps(PHONE) + b" ", False),
        (orjson.dumps({**PHONE, "watermark": {**WATERMARK, "appid": APPID[::-1]}}), False),
        (orjson.dumps({**PHONE, "watermark": {**WATERMARK, "timestamp": -1}}), False),
        (orjson.dumps({**PHONE, "watermark": {**WATERMARK, "more": 1}}), False),
        (orjson.dumps({**PHONE, "more": 1}), False),
        (orjson.dumps(PHONE).replace(b',"watermark"', b', "watermark"'), False),
        (b"", False),
    ],
)
def test_only_the_watermark_to_the_letter_is_wechats_end(plain: bytes, genuine: bool) -> None:  # noqa: FBT001 # a parameter of the test
    assert ends_as_wechats(plain, appid=APPID) is genuine


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("A\x14da", "Ada"),
        ("\ufffdda", "da"),
        ("line\none", "line one"),
        ("\u5c0f\u660e\ufffd", "\u5c0f\u660e"),
        ("\x07\ufffd", ""),
        ("\U0001f33f\u5c0f\u660e", "\U0001f33f\u5c0f\u660e"),
    ],
)
def test_what_is_no_text_is_left_out_of_a_name(name: str, text: str) -> None:
    assert without_odd(name) == text


KEYS: Final = st.sampled_from([*PHONE, *PROFILE, "openGId", "timestamp", "appid"]) | st.text()
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def replaced(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """One of WeChat's payloads with some fields changed."""
    return st.builds(
        lambda payload, fields: {**payload, **fields},
        st.sampled_from([PHONE, FOREIGN, PROFILE, ANONYMOUS, STEPS]),
        st.dictionaries(KEYS, values, max_size=3),
    )


@given(st.binary() | st.builds(json.dumps, JSON | replaced(JSON)))
def test_whatever_comes_is_a_payload_or_a_fault(plain: bytes | str) -> None:
    found = read(plain)
    if isinstance(found, dict) and "purePhoneNumber" in found:
        number, country = found["purePhoneNumber"], str(found["countryCode"])
        assert set(found) == set(PHONE)
        assert (number + country).isascii()
        assert (number + country).isdecimal()


@given(
    st.sampled_from([PHONE, PROFILE, ANONYMOUS, STEPS]),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=16)), max_size=4),
)
def test_whatever_is_written_over_a_payload_it_is_one_or_a_fault(
    payload: dict[str, Any], spots: list[tuple[int, bytes]]
) -> None:
    plain = orjson.dumps(payload)
    for place, junk in spots:
        at = place % len(plain)
        plain = plain[:at] + junk + plain[at + len(junk) :]
    read(plain)
