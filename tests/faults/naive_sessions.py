"""The session store that tutorials write: two keys per user, changed step by step.

It keeps the port's methods and breaks its promise, to show that the test of
that promise can fail.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from service.core.errors import SessionExpired
from service.core.lifetime import Lifetime
from service.core.models import EndedSession, OpenedSession, Session, SessionId, handle_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.config.settings import Settings
    from service.core.models import SessionKeys, SessionView, WeChatIdentity
    from service.core.ports import UserMark
    from service.redis.client import RedisClient
    from service.redis.scripts import Scripts

_USER: Final = "naive:user:"
_SESSION: Final = "naive:session:"


class NaiveSessions:
    """user -> id of the session, and id -> record."""

    def __init__(
        self,
        redis: RedisClient,
        scripts: Scripts,  # noqa: ARG002 # built as the real store is
        settings: Settings,
        **_others: object,
    ) -> None:
        self._redis = redis
        self._ttl = settings.session_ttl
        self.lifetime = Lifetime.of(ttl=self._ttl, max_age=self._ttl, sliding=False)

    async def create(
        self, identity: WeChatIdentity, *, appid: str, device: str, user_id: str
    ) -> OpenedSession:
        handle = handle_of(appid, identity.openid, device)
        session_id = SessionId.new(handle)
        former: Any = await self._redis.get(_USER + handle)
        if former is not None:
            await self._redis.delete(_SESSION + former.decode())
        record = orjson.dumps(
            {"app": appid, "openid": identity.openid, "dev": device, "uid": user_id}
        )
        await self._redis.set(_SESSION + session_id.text, record, "EX", self._ttl)
        await self._redis.set(_USER + handle, session_id.text, "EX", self._ttl)
        return OpenedSession(session_id, self._ttl)

    async def are_any_there(self) -> bool:
        return False

    def glance(self, _session_id: SessionId, _tell: object) -> bool:
        return False

    async def validate(self, session_id: SessionId) -> Session:
        raw = await self._redis.get(_SESSION + session_id.text)
        if raw is None:
            raise SessionExpired
        record = orjson.loads(raw)
        return Session(
            handle=session_id.handle,
            appid=record["app"],
            openid=record["openid"],
            unionid=None,
            device=record["dev"],
            user_id=record["uid"],
            sealed="",
            digest=session_id.digest,
            issued_at=int(time.time() * 1000),
            expires_in=self._ttl,
        )

    async def revoke(self, session_id: SessionId) -> EndedSession | None:
        raw = await self._redis.get(_SESSION + session_id.text)
        await self._redis.delete(_SESSION + session_id.text)
        if raw is None:
            return None
        await self._redis.delete(_USER + session_id.handle)
        record = orjson.loads(raw)
        return EndedSession(record["uid"], record["app"], record["dev"])

    async def terminate(
        self, handle: str, reason: Literal["kicked", "banned"], *, until: int | None = None
    ) -> bool:
        raise NotImplementedError

    async def lift_ban(self, handle: str) -> None:
        raise NotImplementedError

    async def view(self, handles: Sequence[str]) -> Sequence[SessionView]:
        raise NotImplementedError

    async def delete(self, handle: str) -> None:
        raise NotImplementedError

    async def mark_user(self, user_id: str, mark: UserMark) -> None:
        raise NotImplementedError

    async def user_mark(self, user_id: str) -> UserMark | None:  # noqa: ARG002 # nobody goes here
        return None

    async def keys(self, session: Session) -> SessionKeys | None:
        raise NotImplementedError

    async def keys_before(self, appid: str, openid: str, device: str) -> SessionKeys | None:
        raise NotImplementedError

    async def restore_id(self, handle: str, digest: str) -> SessionId | None:
        raise NotImplementedError

    async def ping(self) -> str | None:
        health = await self._redis.health()
        return None if health.complete else health.reason
