"""Worked examples, WeChat's own where it gives any, made again by the simulator's makers."""

from __future__ import annotations

import pytest

from service.simulator.crypto import encrypt, login_state_signature, raw_data_signature
from service.simulator.state.phones import Phone

RAW_DATA = (
    '{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou",'
    '"province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/'
    "1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ"
    '/0"}'
)


@pytest.mark.parametrize(
    ("message", "signature"),
    [
        ("", "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"),
        ('{"foo":"bar"}', "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b"),
    ],
)
def test_a_login_state_is_signed_with_the_text_of_the_key(message: str, signature: str) -> None:
    assert login_state_signature(message, session_key="o0q0otL8aEzpcZL/FT9WsQ==") == signature


def test_raw_data_is_signed_with_the_text_of_the_key() -> None:
    signature = raw_data_signature(RAW_DATA, session_key="HyVFkGl5F5OQWJZZaNzBBg==")
    assert signature == "75e81ceda165f4ffa64f4068af58c64b8f54b88c"


def test_a_phone_is_encrypted_with_the_bytes_of_the_key() -> None:
    phone = Phone("86", "13580006666")
    payload = phone.payload(appid="wx0123456789abcdef", timestamp=1_700_000_000)
    sealed = encrypt(payload, session_key="AAECAwQFBgcICQoLDA0ODw==", iv=bytes(range(16, 32)))
    assert sealed == {
        "encryptedData": (
            "aLhedzo+Z6es5zW+YHo9sgkoobhypSEeViQBPmmCx3fmcZGKbataj/52/+U/sVY3AiF2KzOGsSF26s6H"
            "1VwLALPpPqvznm6/Yrci88llVSl0bwplNsmm05X71JB++CQvJzbBSec5x9Ip5jxEBDmsJsMfZ0Be7Lqh"
            "IPaOJEbqpMrPbB+9rzCO90Xb4t32L8Z9gaA4CnUOCaRFsDKgpto7ng=="
        ),
        "iv": "EBESExQVFhcYGRobHB0eHw==",
    }


@pytest.mark.parametrize("length", range(17))
def test_padding_fills_blocks_of_16_and_is_never_left_out(length: int) -> None:
    sealed = encrypt({"a": "x" * length}, session_key="AAECAwQFBgcICQoLDA0ODw==", iv=bytes(16))
    blocks = (8 + length) // 16 + 1
    assert len(sealed["encryptedData"]) == -(-blocks * 16 // 3) * 4
