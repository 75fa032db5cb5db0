"""The access_token: one for all workers, kept in Redis, renewed before it ends.

It comes from stable_token in its normal mode, which gives every caller the same
token, so that two services with one appid do not invalidate each other's.
`force_refresh` is never used: 20 a day, and it would do just that.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from service.core.errors import ServiceError, SessionStoreUnavailable, WeChatUnavailable
from service.redis.scripts import Script
from service.wechat import errcodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.core.models import WeChatApp
    from service.redis.client import Keyspace
    from service.redis.scripts import Scripts
    from service.stores.keyring import Keyring
    from service.stores.outage import OutageLog
    from service.wechat.http import WeChatHttp

KEY_PREFIX: Final = "minigate:access-token:"
LOCK_PREFIX: Final = "minigate:access-token-lock:"
LOCK_SECONDS: Final = 5.0
"""Longer than one call to WeChat may take; a worker that dies holding it blocks no longer."""

_DISCARD = Script("discard")
_OVERLAP_SECONDS: Final = 300
"""WeChat renews a stable token this long before it ends, and until then hands out the old one."""
_SHORTEST_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 9.0
_RENEWAL_PAUSE_SECONDS: Final = 5.0
"""After a failed one, while the old token is still good."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and the fetch that it came from."""

    value: str = field(repr=False)
    version: str
    expires_at: float
    """Unix seconds, as is `fresh_until`."""
    fresh_until: float

    @property
    def fresh(self) -> bool:
        """Whether asking WeChat again would give the same one."""
        return time.time() < self.fresh_until

    @property
    def expires_in(self) -> int:
        """Whole seconds left."""
        return max(int(self.expires_at - time.time()), 0)


class AccessTokens:
    """Gets, shares and renews access_tokens."""

    def __init__(
        self,
        redis: Keyspace,
        scripts: Scripts,
        http: WeChatHttp,
        keyring: Keyring,
        outage: OutageLog,
    ) -> None:
        self._redis = redis
        self._scripts = scripts
        self._http = http
        self._keyring = keyring
        self._outage = outage
        self._fetches: dict[str, asyncio.Task[AccessToken]] = {}
        self._renewals: dict[str, asyncio.Task[None]] = {}
        self._renew_after: dict[str, float] = {}

    async def get(self, app: WeChatApp) -> AccessToken:
        """A token that is good now.

        Raises SessionStoreUnavailable, WeChatUnavailable, WeChatBusy,
        WeChatRateLimited or WeChatMisconfigured.
        """
        token = await self._read(app)
        if token is None:
            # One fetch for all who wait in this worker, and its failure is theirs too.
            try:
                return await asyncio.shield(self._once(self._fetches, app, self._fetched))
            except ServiceError as error:
                raise error.for_another() from error
        if not token.fresh and time.monotonic() > self._renew_after.get(app.appid, 0):
            self._once(self._renewals, app, self._renew)
        return token

    async def discard(self, app: WeChatApp, token: AccessToken) -> None:
        """Forget this very token, which WeChat refused; not one that was fetched since."""
        await self._on_redis(
            "discard",
            self._scripts.repeatable(_DISCARD, KEY_PREFIX + app.appid, token.version),
        )

    async def aclose(self) -> None:
        """Wait for what is under way."""
        under_way = [*self._renewals.values(), *self._fetches.values()]
        await asyncio.gather(*under_way, return_exceptions=True)

    @staticmethod
    def _once(
        tasks: dict[str, asyncio.Task[T]], app: WeChatApp, act: Callable[[WeChatApp], Any]
    ) -> asyncio.Task[T]:
        """The task that acts for the app: the one under way, else a new one."""
        task = tasks.get(app.appid)
        if task is None:
            task = tasks[app.appid] = asyncio.create_task(act(app))
            task.add_done_callback(lambda _: tasks.pop(app.appid, None))
        return task

    async def _fetched(self, app: WeChatApp) -> AccessToken:
        """The token that some worker, maybe this one, fetches now."""
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up:
            token = await self._read(app) or await self._fetch_alone(app)
            if token is not None:
                return token
            await asyncio.sleep(_POLL_SECONDS)
        raise WeChatUnavailable(sent=False)

    async def _renew(self, app: WeChatApp) -> None:
        try:
            await self._fetch_alone(app, unless_fresh=True)
        except ServiceError as error:
            self._renew_after[app.appid] = time.monotonic() + _RENEWAL_PAUSE_SECONDS
            self._outage.failed("renewal of the access_token", error)

    async def _fetch_alone(
        self, app: WeChatApp, *, unless_fresh: bool = False
    ) -> AccessToken | None:
        """Fetch, unless another worker is at it: then None."""
        lock, holder = LOCK_PREFIX + app.appid, secrets.token_hex(8)
        if not await self._on_redis(
            "lock", self._redis.set(lock, holder, "NX", "PX", int(LOCK_SECONDS * 1000))
        ):
            return None
        try:
            # The one who had the lock before may just have written it.
            token = await self._read(app)
            if token is not None and (token.fresh or not unless_fresh):
                return token
            return await self._fetch(app)
        finally:
            await self._on_redis("unlock", self._scripts.repeatable(_DISCARD, lock, holder))

    async def _fetch(self, app: WeChatApp) -> AccessToken:
        answer = await self._http.ask(
            "/cgi-bin/stable_token",
            {},
            body={
                "grant_type": "client_credential",
                "appid": app.appid,
                "secret": app.secret,
            },
            meanings=errcodes.TOKENED,
        )
        value, left = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(value, str) or not value or not isinstance(left, int) or left <= 0:
            raise WeChatUnavailable
        jitter = random.uniform(0, _SHORTEST_SECONDS)  # noqa: S311 # spreads the workers
        now = time.time()
        token = AccessToken(
            value,
            secrets.token_hex(8),
            expires_at=now + left,
            # `left` is what remains, so the margin may exceed it: never ask on every call.
            fresh_until=now + max(left - _OVERLAP_SECONDS - jitter, min(left, _SHORTEST_SECONDS)),
        )
        await self._on_redis(
            "write", self._redis.set(KEY_PREFIX + app.appid, self._record(app, token), "EX", left)
        )
        return token

    def _record(self, app: WeChatApp, token: AccessToken) -> bytes:
        sealed = self._keyring.seal(token.value.encode(), owner=app.appid)
        times = {"exp": token.expires_at, "fresh": token.fresh_until}
        return orjson.dumps({"v": token.version, "t": sealed, **times})

    async def _read(self, app: WeChatApp) -> AccessToken | None:
        raw = await self._on_redis("read", self._redis.get(KEY_PREFIX + app.appid))
        if raw is None:
            return None
        try:
            record = orjson.loads(raw)
            value = self._keyring.open(record["t"], owner=app.appid)
            version, expires_at, fresh = record["v"], record["exp"], record["fresh"]
        except (ValueError, TypeError, KeyError):
            return None
        if value is None or expires_at <= time.time():
            return None
        return AccessToken(value.decode(), version, expires_at, fresh)

    async def _on_redis(self, what: str, call: Any) -> Any:
        try:
            return await call
        except Exception as fault:
            self._outage.failed(f"access_token {what}", fault)
            raise SessionStoreUnavailable from fault
