"""What is answered the short way at `/verify` is what the ordinary way answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import hypothesis
import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from service.core.errors import SessionMissing
from service.core.models import SessionId
from service.http import check, connections, short_way
from service.http.check import Check, read_check
from service.stores.sessions import RedisSessions
from tests.api.verify_exchange import ask_all, differences, two_services
from tests.api.verify_requests import END, Case, corpus, cut_ones, request
from tests.support.effort import effort
from tests.support.keys import SESSION_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.figure import Figure
    from tests.support.running import Simulator

EXAMPLES: Final = effort(15, 150)
PLAIN: Final = ("", " ", "a ~!", "%s")
ODD: Final = ("用户", "é", "a\x7f", "a\r\nX-Auth-Openid: b", "a\nb", "a\tb", "\x00", "a\xa0")
PLACES: Final = st.floats(0, 1, exclude_max=True)


@pytest.fixture(autouse=True)
def closely_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections whose rest is not worth waiting for end soon."""
    monkeypatch.setattr(connections, "_INTERVAL_SECONDS", 0.05)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"wafer_compat": True, "auth_error_status": 200},
        {"session_renewal": "sliding", "access_log": True},
    ],
    ids=lambda more: ", ".join(more) or "default",
)
async def test_it_answers_as_the_ordinary_way_does(
    settings: Callable[..., Settings],
    simulator: Simulator,
    figure: Figure,
    more: dict[str, object],
) -> None:
    async with two_services(settings, simulator, **more) as pair:
        cases = corpus(pair.ids, with_skey="wafer_compat" in more)
        cut = cut_ones(pair.ids)
        if more:  # every other one will do
            cases, cut = cases[::2], cut[::8]
        for_it = [case for case in cases if case.is_short]
        for_others = [case for case in cases if not case.is_short]
        found, short = [], []
        for some in (for_it, for_others, cut):
            ours = await ask_all(pair.short, some)
            theirs = await ask_all(pair.ordinary, some)
            found += differences(some, ours, theirs)
            short.append(ours.short)
            assert not theirs.short
    figure(f"{len(cases)} requests and {len(cut)} cut ones, {len(short[0])} of them short")
    assert not found, f"{len(found)} differ:\n" + "\n".join(found[:20])
    assert short[0] == sorted(case.raw for case in for_it)
    assert short[1] == []
    assert len(short[2]) < len(cut) / 2


async def test_what_a_header_cannot_say_as_it_is_goes_the_ordinary_way(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    async with two_services(settings, simulator) as pair:
        case = Case("odd words", request(f"sessionid: {pair.ids.live}"))
        key = SESSION_PREFIX + pair.ids.live.partition(".")[0]
        redis = pair.short.app.ctx.services.sessions.redis
        record = orjson.loads(await redis.get(key) or b"")
        for field, value in product(("openid", "unionid", "uid"), (*PLAIN, *ODD)):
            await redis.set(key, orjson.dumps(record | {field: value}))
            ours, theirs = await ask_all(pair.short, [case]), await ask_all(pair.ordinary, [case])
            assert not differences([case], ours, theirs)
            assert bool(ours.short) is (value in PLAIN), f"{field} {value!r}"


def _anything_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "is_well_formed", lambda *_: True)


def _no_body_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_is_bodiless", lambda _: True)


def _the_first_id_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(headers: Any, **_: bool) -> SessionId:
        names = ("authorization", "x-session-id", "sessionid", "x-wx-skey")
        given = [one for name in names for one in headers.getall(name, ())]
        found = given and SessionId.parse(given[0].rpartition(" ")[2])
        if not found:
            raise SessionMissing
        return found

    monkeypatch.setattr(check, "session_id_in", first)


def _changed(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes, bool], Check | None]
) -> None:
    monkeypatch.setattr(short_way, "read_check", lambda data, *, with_skey: change(data, with_skey))


def _connections_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(data: bytes, with_skey: bool) -> Check | None:  # noqa: FBT001
        found = read_check(data, with_skey=with_skey)
        return found and replace(found, keep_alive=True)

    _changed(monkeypatch, change)


def _one_request_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(data: bytes, with_skey: bool) -> Check | None:  # noqa: FBT001
        return read_check(data.partition(END)[0] + END, with_skey=with_skey)

    _changed(monkeypatch, change)


def _names_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_way, "usable_request_id", lambda given: given or "new")


def _the_dead_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedisSessions, "_check", lambda *_: None)


BROKEN: Final = (
    _anything_goes,
    _no_body_is_seen,
    _the_first_id_counts,
    _connections_stay,
    _one_request_is_seen,
    _names_are_passed_on,
    _the_dead_live,
)


async def test_a_short_way_that_reads_otherwise_is_caught(
    settings: Callable[..., Settings], simulator: Simulator, figure: Figure
) -> None:
    async with two_services(settings, simulator) as pair:
        # Enough, and of each kind some.
        cases = corpus(pair.ids)[::5]
        ordinary = await ask_all(pair.ordinary, cases)
        found = {}
        for broken in BROKEN:
            with pytest.MonkeyPatch.context() as patch:
                broken(patch)
                found[broken.__name__] = differences(
                    cases, await ask_all(pair.short, cases), ordinary
                )
        right = differences(cases, await ask_all(pair.short, cases), ordinary)
    figure(f"differences: { {name: len(ones) for name, ones in found.items()} }")
    assert not right
    assert all(found.values())


async def test_it_does_so_whatever_is_sent(
    settings: Callable[..., Settings], simulator: Simulator, figure: Figure
) -> None:
    """In parts and mutants of the corpus, cut anywhere, several of them together."""
    loop = asyncio.get_running_loop()
    async with two_services(settings, simulator) as pair:
        counted = Counter[str]()

        async def compare(made: list[Case]) -> list[str]:
            ours = await ask_all(pair.short, made)
            counted.update(requests=len(made), short=len(ours.short))
            return differences(made, ours, await ask_all(pair.ordinary, made))

        @given(st.lists(cases(corpus(pair.ids)), min_size=16, max_size=32))
        @hypothesis.settings(
            deadline=None,
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            phases=(hypothesis.Phase.generate,),  # what differs is told, small or not
            suppress_health_check=list(HealthCheck),
        )
        def check_some(made: list[Case]) -> None:
            found = asyncio.run_coroutine_threadsafe(compare(made), loop).result()
            assert not found, "\n".join(found)

        await asyncio.to_thread(check_some)
    figure(f"{counted['requests']} made up, {counted['short']} of them short")
    assert counted["short"] > counted["requests"] / 20


def cases(among: list[Case]) -> st.SearchStrategy[Case]:
    """Up to four requests together, some of their bytes changed, cut into segments."""
    lines = {line for one in among for line in one.raw.split(b"\r\n") if len(line) < 400}
    composed = st.lists(st.sampled_from(sorted(lines)), max_size=4).map(
        lambda more: b"\r\n".join((b"GET /verify HTTP/1.1", b"Host: here", *more)) + END
    )
    some = st.sampled_from([one.raw for one in among if len(one.raw) < 4000])
    byte = st.sampled_from([b"", b"\r\n", b" ", b":", b"\0"]) | st.binary(max_size=2)
    return st.builds(
        mutant,
        st.lists(some | composed, min_size=1, max_size=4).map(b"".join),
        st.lists(st.tuples(PLACES, st.booleans(), byte), max_size=2),
        st.lists(PLACES, max_size=3),
    )


def mutant(raw: bytes, changes: list[tuple[float, bool, bytes]], cuts: list[float]) -> Case:
    """`raw` with bytes inserted or put in the place of one; places are parts of its length."""
    for part, is_instead, byte in changes:
        at = int(part * len(raw))
        raw = raw[:at] + byte + raw[at + is_instead :]
    return Case("made up", raw, cuts=tuple(sorted({int(cut * len(raw)) for cut in cuts} - {0})))
