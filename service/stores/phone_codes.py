"""Phone codes: each goes to WeChat once, and the number is kept while the code would live."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from service.core.errors import PhoneCodeInvalid, SessionStoreUnavailable
from service.core.ids import digest
from service.core.models import CodeClaim, Phone
from service.stores.code_markers import CODE_LIFE_MS

if TYPE_CHECKING:
    from service.redis.client import RedisClient
    from service.stores.code_markers import CodeMarkers
    from service.stores.keyring import Keyring

_KIND: Final = "number:"


class RedisPhoneCodes:
    """The PhoneCodes port; the client is known by its openid.

    What WeChat answered is kept as long as the code would have lived, because
    each answer costs the operator money: sealed, beside a digest of the code,
    under a key of the user's, so that it can be forgotten with the user.
    """

    def __init__(self, redis: RedisClient, markers: CodeMarkers, keyring: Keyring) -> None:
        self._redis = redis
        self._prefix = redis.prefix + _KIND
        self._markers = markers
        self._keyring = keyring

    async def claim(self, appid: str, code: str, *, openid: str) -> CodeClaim | Phone:
        claim = await self._markers.claim("phone", appid, code, client=f"{appid}\0{openid}")
        if isinstance(claim, CodeClaim):
            return claim
        if claim is None:
            raise PhoneCodeInvalid
        number = await self._number(digest("phone", appid, code), digest(appid, openid))
        if number is None:
            raise PhoneCodeInvalid
        return Phone(number)

    async def succeed(self, claim: CodeClaim, phone: Phone) -> None:
        code = claim.key.rpartition(":")[2]
        sealed = self._keyring.seal(phone.number.encode(), owner=code)
        with suppress(SessionStoreUnavailable):
            await self._redis.set(
                self._prefix + claim.client, f"{code} {sealed}", "PX", CODE_LIFE_MS
            )
        await self._markers.note(claim, {})

    async def release(self, claim: CodeClaim) -> None:
        await self._markers.release(claim)

    async def forget(self, appid: str, openid: str) -> None:
        await self._redis.delete(self._prefix + digest(appid, openid))

    async def _number(self, code: str, client: str) -> str | None:
        kept = await self._redis.get(self._prefix + client) or b""
        of_code, _, sealed = kept.partition(b" ")
        if of_code != code.encode():
            return None
        number = self._keyring.open(sealed.decode(errors="replace"), owner=code)
        return number.decode() if number else None
