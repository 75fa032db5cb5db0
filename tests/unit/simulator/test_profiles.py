"""What the phone tells of a user, encrypted and signed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from service.simulator.crypto import raw_data_signature
from service.simulator.state.profiles import GREY_AVATAR
from tests.unit.simulator.harness import (
    APPID,
    START,
    UNBOUND_APPID,
    Client,
    decrypt,
)


def profile(client: Client, user: str = "alice", appid: str = APPID, **body: Any) -> Any:
    return client.post("/sim/profile", {"user": user, "appid": appid, **body}).json()


def test_a_profile_is_anonymous_unless_it_is_told(client: Client) -> None:
    session = client.identify()
    answer = profile(client)
    assert list(answer) == ["encryptedData", "iv", "rawData", "signature"]
    expected = (
        '{"nickName":"微信用户","gender":0,"language":"zh_CN","city":"","province":"",'
        f'"country":"","avatarUrl":"{GREY_AVATAR}"}}'
    )
    assert answer["rawData"] == expected
    signature = raw_data_signature(expected, session_key=session["session_key"])
    assert answer["signature"] == signature
    payload = decrypt(answer, session["session_key"]).decode()
    watermark = f'"watermark":{{"timestamp":{int(START)},"appid":"{APPID}"}}'
    assert payload == f"{expected[:-1]},{watermark}}}", "slashes and Chinese stand as they are"


def test_a_profile_can_be_told(client: Client) -> None:
    picture = 'https://example.test/阿.png?a=1&b="2"'
    answer = profile(client, nickName="阿丽 🐬", avatarUrl=picture)
    payload = orjson.loads(decrypt(answer, client.current_key()))
    raw = orjson.loads(answer["rawData"])
    assert raw == {key: value for key, value in payload.items() if key != "watermark"}
    assert (raw["nickName"], raw["avatarUrl"]) == ("阿丽 🐬", picture)


def test_the_old_way_of_asking_gives_ids_in_the_payload_only(client: Client) -> None:
    session = client.identify()
    answer = profile(client, openid=True)
    payload = orjson.loads(decrypt(answer, session["session_key"]))
    assert list(payload) == [
        *("openId", "nickName", "gender", "language", "city", "province", "country"),
        *("avatarUrl", "unionId", "watermark"),
    ]
    assert (payload["openId"], payload["unionId"]) == (session["openid"], session["unionid"])
    assert "openId" not in answer["rawData"]


def test_an_unbound_app_gets_no_union_id(client: Client) -> None:
    answer = profile(client, appid=UNBOUND_APPID, openid=True)
    payload = orjson.loads(decrypt(answer, client.current_key(appid=UNBOUND_APPID)))
    assert "openId" in payload
    assert "unionId" not in payload


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nickName", None),
        ("nickName", "x" * 257),
        ("avatarUrl", 7),
        ("avatarUrl", "x" * 2001),
        ("openid", "true"),
        ("openid", 1),
    ],
)
def test_a_profile_of_no_use_is_told_its_field(client: Client, field: str, value: Any) -> None:
    answer = client.post("/sim/profile", {"user": "alice", "appid": APPID, field: value})
    assert answer.status == 400
    assert answer.json()["field"] == field
