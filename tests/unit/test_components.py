"""How what the service leans on is told, and since when it is so."""

from __future__ import annotations

import asyncio

from service.core.components import Component, Components, SessionStoreCheck
from service.core.errors import SessionStoreUnavailable
from service.core.models import ComponentStatus
from tests.support.outages import Reported, ReportedOutages


class Check:
    def __init__(self, name: str) -> None:
        self.name = name
        self.now = ComponentStatus(name, "ready", "")

    async def status(self) -> ComponentStatus:
        await asyncio.sleep(0)
        return self.now


class Store:
    """A session store that answers a ping with what it has."""

    def __init__(self, answer: str | Exception | None, *, hangs: bool = False) -> None:
        self.answer = answer
        self.hangs = hangs

    async def ping(self) -> str | None:
        await asyncio.sleep(60 if self.hangs else 0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def by_name(found: list[Component]) -> dict[str, Component]:
    return {one.status.component: one for one in found}


async def test_a_state_that_comes_back_begins_anew() -> None:
    one, other = Check("one"), Check("other")
    components = Components([one, other])
    began = by_name(await components.look())
    assert began["one"].since == began["one"].checked_at
    since = []
    for state in ("down", "down", "ready", "down"):
        await asyncio.sleep(0.005)
        one.now = ComponentStatus("one", state, "why")
        found = by_name(await components.look())
        since.append(found["one"].since)
        assert found["other"].since == began["other"].since
    down, still, ready, again = (at or 0 for at in since)
    assert down == still < ready < again


async def test_another_reason_is_no_other_state() -> None:
    one = Check("one")
    components = Components([one])
    one.now = ComponentStatus("one", "down", "unreachable")
    [before] = await components.look()
    await asyncio.sleep(0.005)
    one.now = ComponentStatus("one", "down", "loading")
    [after] = await components.look()
    assert (after.since, after.status.reason) == (before.since, "loading")


async def test_what_is_not_looked_at_is_as_its_outages_say() -> None:
    outages = ReportedOutages(
        Reported("wechat", 3000, None, "later"),
        Reported("redis", 2500, None),
        Reported("wechat", 2000, None, "first"),
        Reported("wechat", 1000, 1500, "over"),
        Reported("avatars", 500, 600, "over"),
    )
    found = await Components([Check("redis")], outages).look()
    assert [one.status for one in found[1:]] == [
        ComponentStatus("wechat", "down", "first"),
        ComponentStatus("avatars", "ready", ""),
    ]
    assert [(one.since, one.checked_at) for one in found[1:]] == [(2000, None), (None, None)]
    assert len(await Components([Check("redis")]).look()) == 1, "nobody can tell of the others"


async def test_a_session_store_is_ready_ailing_or_down() -> None:
    cases = (
        (Store(None), ("ready", "")),
        (Store("out_of_memory"), ("degraded", "out_of_memory")),
        (Store(SessionStoreUnavailable("loading")), ("down", "loading")),
        (Store(SessionStoreUnavailable()), ("down", "unreachable")),
        (Store(None, hangs=True), ("down", "unreachable")),
    )
    for store, expected in cases:
        status = await SessionStoreCheck(store).status()  # type: ignore[arg-type] # that much of one
        assert (status.state, status.reason) == expected
