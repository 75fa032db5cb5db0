"""A phone number that WeChat never encrypted, put together from blocks that it did.

CBC decrypts each block alone and adds the block before it: P[i] = D(C[i]) ^ C[i-1]. Who
knows P of own messages knows D of their blocks, and so chooses the first block of any
message by its iv. With D of a block of one's own making one chooses the block before it,
and so on, from the end of a message to its beginning. D of such a block comes to light
when a message with it opens: it stands there as noise, and does no harm if it happens to
be text. Of 16 bytes one in some 600,000 is, and each question tells.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.padding import PKCS7

from service.core.encrypted_data import DecryptionError, open_encrypted
from service.core.models import Encrypted, SessionKeys
from service.core.payload import is_phone

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK: Final = 16
APPID: Final = "wx0123456789abcdef"
NOW: Final = 1_700_000_000
TAKEN_OVER: Final = "13900000001"
OWN: Final = {
    "phoneNumber": "13580006666",
    "purePhoneNumber": "13580006666",
    "countryCode": "86",
    "watermark": {"timestamp": NOW, "appid": APPID},
}
GROUP: Final = {"openGId": "tGABC", "watermark": OWN["watermark"]}
QUESTIONS: Final = 200
"""So many own messages instead of a million: the test's WeChat sees to it that one fits."""


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


class Block(NamedTuple):
    """A block of a message and what the key makes of it."""

    text: bytes
    opened: bytes


@dataclass
class WeChat:
    """Encrypts what it wants to, and tells what it was: only the key is a secret."""

    key: bytes
    rng: random.Random

    def phone_message(self) -> list[Block]:
        return self._encrypted(orjson.dumps(OWN), self.rng.randbytes(BLOCK))

    def first_blocks(self, *, one_fits: bytes) -> list[Block]:
        """Of many messages; with one of them a message with the block `one_fits` opens."""
        plain = orjson.dumps(GROUP)
        ivs = [self.rng.randbytes(BLOCK) for _ in range(QUESTIONS)]
        letters = bytes(self.rng.choice(b"abcdefghijklmnop") for _ in range(BLOCK))
        fitting = xor(self._open(one_fits), letters)
        ivs[QUESTIONS * 3 // 4] = xor(self._open(fitting), plain[:BLOCK])
        return [self._encrypted(plain, iv)[0] for iv in ivs]

    def _encrypted(self, plain: bytes, iv: bytes) -> list[Block]:
        padding = PKCS7(BLOCK * 8).padder()
        padded = padding.update(plain) + padding.finalize()
        encryptor = Cipher(AES128(self.key), CBC(iv)).encryptor()
        data = encryptor.update(padded) + encryptor.finalize()
        before = iv + data[:-BLOCK]
        return [
            Block(data[at : at + BLOCK], xor(padded[at : at + BLOCK], before[at : at + BLOCK]))
            for at in range(0, len(data), BLOCK)
        ]

    def _open(self, block: bytes) -> bytes:
        decryptor = Cipher(AES128(self.key), ECB()).decryptor()  # noqa: S305 # one block of CBC
        return decryptor.update(block) + decryptor.finalize()


@dataclass
class Forger:
    """Has no key; has own messages, and the service's answers."""

    wechat: WeChat
    ask: Any
    asked: int = 0
    opened: list[dict[str, Any]] = field(default_factory=list)

    def forge(self) -> tuple[bytes, bytes] | None:
        """An iv and data with somebody else's number; None if too little could be learnt."""
        own = self.wechat.phone_message()
        tail = b"".join(block.text for block in own[3:])
        number = xor(own[3].opened, f'{TAKEN_OVER}","co'.encode())
        # In front of it, as text: {"aaaaaaaaa":"aa<noise>13900000001","countryCode":...
        found = self._learn(b'{"aaaaaaaaa":"aa', number, tail)
        if found is None:
            return None
        noise = str(found["aaaaaaaaa"])[2 : -len(TAKEN_OVER)].encode()
        name = xor(xor(noise, self.fitting.text), b'rePhoneNumber":"')
        # And here as the name of a field: {"aaaaaaaaaaaaaa<noise>rePhoneNumber":"13900000001",...
        found = self._learn(b'{"aaaaaaaaaaaaaa', name, number + tail)
        if found is None:
            return None
        noise = next(iter(found))[14 : -len("rePhoneNumber")].encode()
        iv = xor(xor(noise, self.fitting.text), b'{            "pu')
        return iv, name + number + tail

    def _learn(self, beginning: bytes, block: bytes, tail: bytes) -> dict[str, Any] | None:
        """What the service makes of the block, behind one of the forger's that fits."""
        for known in self.wechat.first_blocks(one_fits=block):
            self.asked += 1
            answer = self.ask(xor(known.opened, beginning), known.text + block + tail)
            if answer is not None:
                self.opened.append(answer)
                self.fitting = known
                return answer  # type: ignore[no-any-return] # a payload
        return None


def former(key: bytes) -> Callable[[bytes, bytes], dict[str, Any] | None]:
    """The rules of version 0.9: any JSON object with a watermark that will do."""

    def ask(iv: bytes, data: bytes) -> dict[str, Any] | None:
        decryptor = Cipher(AES128(key), CBC(iv)).decryptor()
        padded = decryptor.update(data) + decryptor.finalize()
        unpadder = PKCS7(BLOCK * 8).unpadder()
        try:
            payload = orjson.loads(unpadder.update(padded) + unpadder.finalize())
        except ValueError:
            return None
        mark = payload.get("watermark") if isinstance(payload, dict) else None
        fits = isinstance(mark, dict) and mark.get("appid") == APPID and mark["timestamp"] == NOW
        return payload if fits else None

    return ask


def former_phone(payload: dict[str, Any]) -> str | None:
    """What it took for a phone number."""
    country, number = payload.get("countryCode"), payload.get("purePhoneNumber")
    if isinstance(country, int | str) and isinstance(number, str) and number:
        return f"+{country} {number}"
    return None


def present(key: bytes) -> Callable[[bytes, bytes], dict[str, Any] | None]:
    def ask(iv: bytes, data: bytes) -> dict[str, Any] | None:
        encrypted = Encrypted(base64.b64encode(data).decode(), base64.b64encode(iv).decode())
        try:
            return open_encrypted(
                encrypted, keys=SessionKeys(key), appid=APPID, openid="o", now=NOW, max_age=300
            )
        except DecryptionError:
            return None

    return ask


@pytest.fixture(params=range(3))
def wechat(request: pytest.FixtureRequest) -> WeChat:
    rng = random.Random(request.param)
    return WeChat(rng.randbytes(BLOCK), rng)


def test_by_the_former_rules_a_number_of_choice_is_forged(wechat: WeChat) -> None:
    ask = former(wechat.key)
    forger = Forger(wechat, ask)
    forged = forger.forge()
    assert forged is not None
    payload = ask(*forged)
    assert payload is not None
    assert former_phone(payload) == f"+86 {TAKEN_OVER}"
    assert forger.asked == 2 * (QUESTIONS * 3 // 4 + 1)  # 600,000 each, were nobody to help


def test_now_no_question_of_it_opens_and_its_result_neither(wechat: WeChat) -> None:
    forger = Forger(wechat, present(wechat.key))
    assert forger.forge() is None
    assert (forger.asked, forger.opened) == (QUESTIONS, [])
    forged = Forger(wechat, former(wechat.key)).forge()
    assert forged is not None
    assert present(wechat.key)(*forged) is None


def test_what_wechat_encrypted_opens_by_both_rules(wechat: WeChat) -> None:
    iv = wechat.rng.randbytes(BLOCK)
    data = b"".join(block.text for block in wechat._encrypted(orjson.dumps(OWN), iv))
    for ask in (former(wechat.key), present(wechat.key)):
        assert ask(iv, data) == OWN
    assert is_phone(OWN)


@pytest.mark.parametrize("beginning", [b'{"phoneNumbex":"', b'{"phoneNumber":1', b" " * 15 + b"{"])
def test_another_first_block_which_costs_nothing_makes_no_number(
    wechat: WeChat, beginning: bytes
) -> None:
    own = wechat.phone_message()
    data = b"".join(block.text for block in own)
    assert present(wechat.key)(xor(own[0].opened, b'{"phoneNumber":"'), data) == OWN
    assert present(wechat.key)(xor(own[0].opened, beginning), data) is None
