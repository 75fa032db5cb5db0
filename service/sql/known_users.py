"""Known users by what WeChat calls them: the one question that every login asks.

SQLite is asked at once, for it takes less than to wait for others. To PostgreSQL
the questions of one moment go as one: there the way costs ten times what the
answer does.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from service.sql.rows import BY_OPENID, by_openids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.sql.database import SqlDatabase

Name: TypeAlias = tuple[str, str]
"""appid and openid."""

_MOST: Final = 256
_BATCHES: Final = 2
"""Under way at most. Meanwhile others gather for the next one, so that it is a large one."""


class KnownUsers:
    """Finds rows of users, each with the unionid known of the openid.

    The questions of one batch share its fate. Every caller has a future of its own:
    one that gives up takes nobody along.
    """

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database
        self._waiting: list[tuple[Name, asyncio.Future[Any]]] = []
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def find(self, appid: str, openid: str) -> Any | None:
        """The row; None where there is none. Raises what the database raises."""
        if not self._database.is_remote:
            return await self._first(appid, openid)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(((appid, openid), answer))
        if not self._scheduled and len(self._tasks) < _BATCHES:
            self._scheduled = True
            loop.call_soon(self._start, context=Context())
        return await answer

    def _start(self) -> None:
        self._scheduled = False
        waiting = [one for one in self._waiting if not one[1].done()]  # who has not given up
        batch, self._waiting = waiting[:_MOST], waiting[_MOST:]
        if batch:
            # A task of its own, of no request: no login that ends can cancel the others'.
            task = asyncio.create_task(self._ask(batch), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._asked)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting and not self._scheduled:
            self._start()

    async def _ask(self, batch: list[tuple[Name, asyncio.Future[Any]]]) -> None:
        try:
            found = await self._rows({name for name, _ in batch})
        except Exception as fault:  # noqa: BLE001 # the callers' to handle
            # Whoever waits for the next batch has waited for this one: nobody waits for two.
            waiting, self._waiting = self._waiting, []
            for _, answer in (*batch, *waiting):
                if not answer.done():
                    answer.set_exception(fault)
            return
        for name, answer in batch:
            if not answer.done():
                answer.set_result(found.get(name))

    async def _rows(self, names: set[Name]) -> Mapping[Name, Any]:
        if len(names) > 1:
            return await self._database.read(lambda db: by_openids(db, names))
        [(appid, openid)] = names
        return {(appid, openid): await self._first(appid, openid)}

    async def _first(self, appid: str, openid: str) -> Any | None:
        return await self._database.first(BY_OPENID, appid=appid, openid=openid)
