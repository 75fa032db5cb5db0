"""The access_token: one for all workers, renewed before it ends.

It comes from stable_token in its normal mode, which gives every caller the same
token, so that two services with one appid do not invalidate each other's.
`force_refresh` is never used: 20 a day, and it would do just that.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from service.core.background import log_bug
from service.core.errors import ServiceError, SessionStoreUnavailable, WeChatUnavailable
from service.metrics.series import access_token_expires, access_token_fetched
from service.wechat import errcodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.core.models import AccessToken, WeChatApp
    from service.core.ports import AccessTokenStore
    from service.core.throttled_log import ThrottledLog
    from service.wechat.http import WeChatHttp

LOCK_SECONDS: Final = 5.0
"""Longer than one call to WeChat may take; a worker that dies holding it blocks no longer."""

_OVERLAP_SECONDS: Final = 300
"""WeChat renews a stable token this long before it ends, and until then hands out the old one."""
_SHORTEST_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.05
_TIMEOUT_SECONDS: Final = 9.0
_CLIENT: Final = "access_token"
"""Apart from all users, so that none of them can keep the token waiting in their line."""
_RENEWAL_PAUSE_SECONDS: Final = 5.0
"""After a failed one, while the old token is still good."""

T = TypeVar("T")


class AccessTokens:
    """Gets, shares and renews access_tokens."""

    def __init__(self, store: AccessTokenStore, http: WeChatHttp, log: ThrottledLog) -> None:
        """`log` is told of renewals that fail, which no caller sees."""
        self._store = store
        self._http = http
        self._log = log
        self._fetches: dict[str, asyncio.Task[AccessToken]] = {}
        self._renewals: dict[str, asyncio.Task[None]] = {}
        self._renew_after: dict[str, float] = {}

    async def get(self, app: WeChatApp) -> AccessToken:
        """A token that is good now.

        Raises SessionStoreUnavailable, WeChatUnavailable, WeChatBusy,
        WeChatRateLimited or WeChatMisconfigured.
        """
        token = await self._store.get(app.appid)
        if token is None:
            # All who wait in this worker share one fetch, and its failure.
            try:
                return await asyncio.shield(self._once(self._fetches, app, self._wait_for_fetch))
            except ServiceError as error:
                failure = error.for_another()
                failure.answered = False  # that was of the token, not of what it is wanted for
                raise failure from error
        access_token_expires.labels(app.appid).set(time.time() + token.expires_in)
        if not token.fresh and time.monotonic() > self._renew_after.get(app.appid, 0):
            self._once(self._renewals, app, self._renew)
        return token

    async def discard(self, app: WeChatApp, token: AccessToken) -> None:
        """Forget this very token, which WeChat refused; not one that was fetched since."""
        await self._store.discard(app.appid, token)

    async def discard_value(self, app: WeChatApp, value: str) -> bool:
        """Forget the token that is kept if it is this one, which WeChat refused somebody.

        Returns whether it was; one that was fetched since stays. Raises SessionStoreUnavailable.
        """
        return await self._store.discard_value(app.appid, value)

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
            # For all who wait, in whatever requests: its lines are of none.
            task = tasks[app.appid] = asyncio.create_task(act(app), context=Context())
            task.add_done_callback(lambda _: tasks.pop(app.appid, None))
            # Those who wait for a fetch may all hang up; for a renewal nobody ever waits.
            task.add_done_callback(log_bug)
        return task

    async def _wait_for_fetch(self, app: WeChatApp) -> AccessToken:
        """The token that some worker, maybe this one, fetches now."""
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            token = await self._store.get(app.appid) or await self._fetch_alone(app)
            if token is not None:
                return token
            await asyncio.sleep(_POLL_SECONDS)
        raise WeChatUnavailable(sent=False)

    async def _renew(self, app: WeChatApp) -> None:
        try:
            await self._fetch_alone(app, unless_fresh=True)
        except ServiceError as error:
            self._renew_after[app.appid] = time.monotonic() + _RENEWAL_PAUSE_SECONDS
            self._log.failed("renewal of the access_token", error.error)

    async def _fetch_alone(
        self, app: WeChatApp, *, unless_fresh: bool = False
    ) -> AccessToken | None:
        """Fetch, unless another worker is at it: then None."""
        lock = await self._store.lock(app.appid, seconds=LOCK_SECONDS)
        if lock is None:
            return None
        try:
            # The one who had the lock before may just have written it.
            token = await self._store.get(app.appid)
            if token is not None and (token.fresh or not unless_fresh):
                return token
            return await self._fetch(app)
        finally:
            # A lock that cannot be released expires by itself; the outcome is the same.
            with suppress(SessionStoreUnavailable):
                await self._store.unlock(app.appid, lock)

    async def _fetch(self, app: WeChatApp) -> AccessToken:
        answer = await ask_for_token(self._http, app)
        value, left = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(value, str) or not value or not isinstance(left, int) or left <= 0:
            raise WeChatUnavailable
        now = time.time()
        access_token_fetched.labels(app.appid).set(now)
        access_token_expires.labels(app.appid).set(now + left)
        return await self._store.put(app.appid, value, expires_in=left, fresh_for=_fresh_for(left))


async def ask_for_token(
    http: WeChatHttp, app: WeChatApp, *, expected: frozenset[int] = frozenset()
) -> dict[str, Any]:
    """What stable_token says in its normal mode, which leaves a token that lives as it is.

    `expected`, and what is raised: as WeChatHttp.ask.
    """
    return await http.ask(
        app,
        "/cgi-bin/stable_token",
        {},
        body={"grant_type": "client_credential", "appid": app.appid, "secret": app.secret},
        error_map=errcodes.TOKENED,
        expected=expected,
        client=_CLIENT,
    )


def _fresh_for(left: int) -> float:
    """For how many seconds asking again would bring the same token.

    `left` is what remains of it, so the overlap may exceed that: then too it is
    not asked for with every call. The jitter spreads the workers.
    """
    jitter = random.uniform(0, _SHORTEST_SECONDS)  # noqa: S311 # no secret
    return max(left - _OVERLAP_SECONDS - jitter, min(left, _SHORTEST_SECONDS))
