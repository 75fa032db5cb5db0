"""Limits over HTTP: two workers on one Redis let through exactly what is allowed."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
import redis.asyncio

from service.core import login_limits
from service.core.models import SessionId
from tests.support.keys import LIMIT_PREFIX as KEY_PREFIX
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.config.settings import Settings
    from tests.support.figure import Figure
    from tests.support.running import Answer, Api, Simulator

LIMITED: Final = (429, 42900)
REDEEM: Final = "/wxa/business/getuserphonenumber"
TOKEN: Final = "internal-token-canary-5d1a9c37e2b64f08"
CLIENT: Final = "203.0.113.7"
OTHER: Final = "198.51.100.9"


Start = Callable[..., AbstractAsyncContextManager["Workers"]]


@dataclass
class Workers:
    """Services that share a Redis, behind one proxy; requests go to them in turn."""

    apis: list[Api]
    simulator: Simulator
    turns: Any = field(default_factory=itertools.count)

    async def ask(
        self, method: str, path: str, *, address: str = CLIENT, body: Any = None, **headers: str
    ) -> Answer:
        api: Api = self.apis[next(self.turns) % len(self.apis)]
        sent = {"X-Forwarded-For": address, **headers}
        return await api.ask(method, path, json=body, headers=sent)

    async def log_in(
        self, user: str = "alice", *, address: str = CLIENT, code: str = "", **headers: str
    ) -> Answer:
        code = code or await self.simulator.code(user)
        return await self.ask("POST", "/login", address=address, body={"code": code}, **headers)

    async def session(self, user: str = "alice") -> str:
        answer = await self.log_in(user)
        assert answer.status == 200, answer.body
        return str(answer.data["sessionid"])


@pytest.fixture
def workers(settings: Callable[..., Settings], simulator: Simulator) -> Start:
    """Starts two services; keyword arguments are their limits and other settings."""

    @asynccontextmanager
    async def start(**overrides: object) -> AsyncIterator[Workers]:
        configured = settings(
            **{
                "wechat_api_base": (simulator.url,),
                "login_coalesce_ms": 0,
                "proxies_count": 1,
                "internal_token": TOKEN,
                "web_concurrency": 2,
                **overrides,
            }
        )
        async with running_service(configured) as one, running_service(configured) as other:
            yield Workers([one, other], simulator)

    return start


def tally(answers: list[Answer]) -> Counter[tuple[int, int]]:
    """How many answers of each kind; those of a limit have to say how long to wait."""
    for answer in answers:
        if answer.status == 429:
            assert 1 <= int(answer.headers["Retry-After"]) <= 2 * 86400, answer.headers
    return Counter((answer.status, answer.code) for answer in answers)


@pytest.mark.bar("H1")
@pytest.mark.parametrize("limit", ["login_per_address", "login_per_app", "login"])
async def test_a_burst_of_logins_passes_exactly_what_is_allowed(workers: Start, limit: str) -> None:
    async with workers(**{f"limit_{limit}": "20/minute"}) as two:
        codes = [await two.simulator.code(f"user{number}") for number in range(60)]
        # Of one address, many at once have half of what all share.
        each = "192.0.2.{}" if limit != "login_per_address" else CLIENT
        answers = await asyncio.gather(
            *(two.log_in(code=code, address=each.format(n)) for n, code in enumerate(codes))
        )
        assert tally(answers) == {(200, 0): 20, LIMITED: 40}
        assert {answer.data["limit"] for answer in answers if answer.status == 429} == {limit}
        assert await two.simulator.exchanges() == 20
        elsewhere = await two.log_in("zoe", address=OTHER)
        assert elsewhere.status == (200 if limit == "login_per_address" else 429)


async def test_of_an_address_sixty_made_up_codes_pass_one_after_the_other(
    workers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_limits, "_REFUSAL_SECONDS", 0)
    async with workers(limit_login_per_address="600/minute") as two:
        answers = [await two.log_in(code=f"made-up-{number}") for number in range(70)]
        assert tally(answers) == {(400, 40001): 60, LIMITED: 10}


async def test_a_code_that_was_not_let_through_is_not_spent(workers: Start) -> None:
    async with workers(limit_login_per_address="1/minute") as two:
        code = await two.simulator.code()
        await two.log_in("bob")
        assert (await two.log_in(code=code)).status == 429
        assert (await two.log_in(code=code, address=OTHER)).status == 200


@pytest.mark.bar("D9")
async def test_what_a_client_wrote_itself_does_not_get_it_past_a_limit(workers: Start) -> None:
    async with workers(limit_login_per_address="3/minute") as two:
        forged = [f"{OTHER}, 192.0.2.{number}, {CLIENT}" for number in range(9)]
        answers = await asyncio.gather(
            *(two.log_in(f"u{number}", address=one) for number, one in enumerate(forged))
        )
        assert tally(answers) == {(200, 0): 3, LIMITED: 6}


async def test_a_code_that_is_made_up_counts_as_ten_logins(workers: Start) -> None:
    async with workers(limit_login_per_address="35/minute") as two:
        made_up = [await two.log_in(code=f"made-up-{number}") for number in range(5)]
        assert tally(made_up) == {(400, 40001): 4, LIMITED: 1}
        assert (await two.log_in()).status == 429
        assert (await two.log_in(address=OTHER)).status == 200
        assert await two.simulator.exchanges() == 5


def codes_of_strangers(addresses: int, each: int) -> list[list[tuple[str, str]]]:
    """Made-up codes, with the address that each comes from; a list for each address."""
    return [
        [(f"192.0.2.{number}", f"made-up-{number}-{turn}") for turn in range(each)]
        for number in range(addresses)
    ]


@pytest.mark.parametrize("limit", ["login_per_app", "login"])
@pytest.mark.parametrize("at_once", [False, True])
async def test_made_up_codes_leave_half_of_what_all_share_to_the_others(
    workers: Start, monkeypatch: pytest.MonkeyPatch, limit: str, *, at_once: bool
) -> None:
    """As 520 addresses with 60 codes a minute each would use up 30,000."""
    monkeypatch.setattr(login_limits, "_REFUSAL_SECONDS", 0)

    async def one_after_the_other(sent: list[tuple[str, str]]) -> list[Answer]:
        return [await two.log_in(code=code, address=address) for address, code in sent]

    async with workers(**{f"limit_{limit}": "100/minute"}) as two:
        groups = codes_of_strangers(4, 60)
        if at_once:
            groups = [[one] for group in groups for one in group]
        answered = await asyncio.gather(*map(one_after_the_other, groups))
        answers = list(itertools.chain.from_iterable(answered))
        passed = tally(answers)[400, 40001]
        # Of each address, and by each worker, one may pass before anything is known.
        assert 50 <= passed <= 50 + 4 * 2
        assert tally(answers) == {(400, 40001): passed, LIMITED: 240 - passed}
        assert all(
            one.data == {"limit": limit, "retry": "same_code"}
            for one in answers
            if one.status == 429
        )
        honest = [await two.log_in(f"user{n}", address=f"198.51.100.{n}") for n in range(40)]
        assert tally(honest) == {(200, 0): 40}
        # And all of it is not more than it was.
        rest = [await two.log_in(f"more{n}", address=f"203.0.113.{n}") for n in range(20)]
        assert tally(rest) == {(200, 0): 60 - passed, LIMITED: passed - 40}
        assert await two.simulator.exchanges() == 100


async def test_who_had_a_bad_code_and_has_good_ones_uses_up_no_half(workers: Start) -> None:
    async with workers(limit_login_per_app="12/minute", limit_login="12/minute") as two:
        assert tally([await two.log_in(code=f"made-up-{n}") for n in range(4)]) == {(400, 40001): 4}
        good = [await two.log_in() for _ in range(9)]
        assert tally(good) == {(200, 0): 8, LIMITED: 1}


async def test_a_code_that_never_reached_wechat_uses_up_nothing_that_all_share(
    workers: Start, settings: Callable[..., Settings]
) -> None:
    exact = {"limit_login_per_app": "90/day", "limit_login": "90/day"}
    async with workers(**exact, wechat_concurrency=1) as two, redis_of(settings) as raw:
        await two.simulator.fault("hang", times=2)
        hanging = [asyncio.create_task(two.log_in("bob", address=OTHER)) for _ in two.apis]
        while await two.simulator.exchanges() < 2:
            await asyncio.sleep(0.01)
        busy = await asyncio.gather(*(two.log_in(f"user{n}") for n in range(8)))
        assert tally(busy) == {(503, 50311): 8}
        assert tally(await asyncio.gather(*hanging)) == {(502, 50200): 2}
        for limit, count in (("login_per_app", 2), ("login", 2)):
            assert await used(raw, limit) == count


async def test_where_addresses_are_not_known_nobody_has_half(
    workers: Start, settings: Callable[..., Settings]
) -> None:
    off = {"proxies_count": 0, "limit_login_per_app": "20/minute"}
    async with workers(**off) as two, redis_of(settings) as raw:
        made_up = [await two.log_in(code=f"made-up-{n}") for n in range(15)]
        assert tally(made_up) == {(400, 40001): 15}
        [key] = await raw.keys(f"{KEY_PREFIX}login_per_app:*")
        assert len((await raw.get(key)).split()) == 3


async def test_what_is_no_fault_of_the_client_counts_as_one(workers: Start) -> None:
    async with workers(limit_login_per_address="12/minute") as two:
        await two.simulator.fault("html_502")
        assert tally([await two.log_in() for _ in range(6)]) == {(502, 50200): 6}
        await two.simulator.heal()
        assert tally([await two.log_in() for _ in range(7)]) == {(200, 0): 6, LIMITED: 1}


async def test_a_repeat_with_its_key_counts_as_one(workers: Start) -> None:
    async with workers(limit_login_per_address="24/minute") as two:
        key = {"Idempotency-Key": "k1"}
        repeats = [await two.log_in(code="made-up", **key) for _ in range(4)]
        assert tally(repeats) == {(400, 40001): 4}
        assert tally([await two.log_in() for _ in range(12)]) == {(200, 0): 11, LIMITED: 1}


async def test_a_phone_code_is_charged_for_only_so_often_a_day(workers: Start) -> None:
    async with workers(limit_phone_codes_per_user="4/day") as two:
        session = await two.session()
        codes = [(await two.simulator.phone())["code"] for _ in range(12)]
        answers = await asyncio.gather(
            *(two.ask("PUT", "/me/phone", body={"code": code}, sessionid=session) for code in codes)
        )
        kinds = tally(answers)
        assert kinds[LIMITED] == 8
        assert await two.simulator.calls(REDEEM) == 4
        limited = next(answer for answer in answers if answer.status == 429)
        assert limited.data == {"limit": "phone_codes_per_user", "retry": "same_code"}
        bob = await two.session("bob")
        phone = await two.simulator.phone("bob", phone="13900000002")
        bound = await two.ask("PUT", "/me/phone", body={"code": phone["code"]}, sessionid=bob)
        assert bound.status == 200


async def test_a_number_that_was_paid_for_is_had_again_for_nothing(workers: Start) -> None:
    async with workers(limit_phone_codes_per_user="1/day") as two:
        session = await two.session()
        code = (await two.simulator.phone())["code"]
        for _ in range(3):
            bound = await two.ask("PUT", "/me/phone", body={"code": code}, sessionid=session)
            assert bound.status == 200
        another = (await two.simulator.phone())["code"]
        for _ in range(2):  # the code is not spent, nor kept from a repeat
            refused = await two.ask("PUT", "/me/phone", body={"code": another}, sessionid=session)
            assert (refused.status, refused.code) == LIMITED


async def test_a_mini_program_has_a_budget_for_phone_codes(workers: Start) -> None:
    async with workers(limit_phone_codes_per_app="4/day") as two:

        async def by_phone(number: int) -> Answer:
            user = f"user{number}"
            phone = await two.simulator.phone(user, phone=f"139000000{number:02}")
            body = {"code": phone["code"], "loginCode": await two.simulator.code(user)}
            return await two.ask("POST", "/login/phone", body=body)

        answers = await asyncio.gather(*map(by_phone, range(12)))
        assert tally(answers) == {(200, 0): 4, LIMITED: 8}
        assert await two.simulator.calls(REDEEM) == 4
        limited = next(answer for answer in answers if answer.status == 429)
        assert limited.data == {"limit": "phone_codes_per_app", "retry": "new_code"}


async def test_a_phone_code_that_wechat_was_not_asked_about_is_not_charged(workers: Start) -> None:
    async with workers(limit_phone_codes_per_user="1/day", wechat_concurrency=1) as two:
        session, exchanges = await two.session(), await two.simulator.exchanges()
        await two.simulator.fault("hang", times=2)
        waiting = [asyncio.create_task(two.log_in("bob")) for _ in two.apis]
        while await two.simulator.exchanges() < exchanges + 2:
            await asyncio.sleep(0.01)
        code = (await two.simulator.phone())["code"]
        for _ in range(4):
            busy = await two.ask("PUT", "/me/phone", body={"code": code}, sessionid=session)
            assert (busy.status, busy.code) == (503, 50311)
        assert tally(await asyncio.gather(*waiting)) == {(502, 50200): 2}
        bound = await two.ask("PUT", "/me/phone", body={"code": code}, sessionid=session)
        assert bound.status == 200
        assert await two.simulator.calls(REDEEM) == 1


async def test_nor_is_one_while_wechat_refuses_or_the_breaker_is_open(
    workers: Start, settings: Callable[..., Settings]
) -> None:
    exact = {"limit_phone_codes_per_user": "20/day", "limit_phone_codes_per_app": "90/day"}
    async with workers(**exact) as two, redis_of(settings) as raw:
        session = await two.session()
        await two.simulator.fault("errcode", endpoint=REDEEM, errcode=45009)
        code = (await two.simulator.phone())["code"]
        for _ in range(8):
            limited = await two.ask("PUT", "/me/phone", body={"code": code}, sessionid=session)
            assert (limited.status, limited.code) == (429, 42901)
        assert 0 < await two.simulator.calls(REDEEM) < 8, "the breaker never opened"
        for limit in ("phone_codes_per_user", "phone_codes_per_app"):
            assert await used(raw, limit) == 0


STABLE_TOKEN: Final = "/cgi-bin/stable_token"


@pytest.mark.parametrize(
    ("endpoint", "errcode", "counted"),
    [
        *((REDEEM, errcode, 3) for errcode in (40003, 40013, 40029, 48001, 45011, 47001, 12345)),
        *((REDEEM, errcode, 0) for errcode in (-1, 45009, 40001)),
        *((STABLE_TOKEN, errcode, 0) for errcode in (-1, 40164, 40125)),
    ],
)
async def test_a_phone_code_that_wechat_has_looked_at_counts_whatever_it_says(
    workers: Start,
    settings: Callable[..., Settings],
    endpoint: str,
    errcode: int,
    counted: int,
) -> None:
    exact = {"limit_phone_codes_per_user": "20/day", "limit_phone_codes_per_app": "90/day"}
    async with workers(**exact) as two, redis_of(settings) as raw:
        session = await two.session()
        await two.simulator.fault("errcode", endpoint=endpoint, errcode=errcode)
        for _ in range(3):
            code = (await two.simulator.phone())["code"]
            refused = await two.ask("PUT", "/me/phone", body={"code": code}, sessionid=session)
            assert refused.status >= 400
        assert await used(raw, "phone_codes_per_user") == counted
        assert await used(raw, "phone_codes_per_app") == 0


async def test_phone_codes_that_are_made_up_count_for_their_user_only(
    workers: Start, settings: Callable[..., Settings]
) -> None:
    async with workers(limit_phone_codes_per_app="90/day") as two, redis_of(settings) as raw:
        session = await two.session()
        for number in range(3):
            code = f"made-up-{number}"
            refused = await two.ask("PUT", "/me/phone", body={"code": code}, sessionid=session)
            assert refused.code == 40003
        assert await used(raw, "phone_codes_per_user") == 3
        assert await used(raw, "phone_codes_per_app") == 0


@pytest.mark.parametrize("checked", [False, True])
async def test_nicknames_are_limited(workers: Start, *, checked: bool) -> None:
    async with workers(limit_nicknames_per_user="4/hour", check_nicknames=checked) as two:
        session = await two.session()

        async def rename(nickname: str, who: str = session) -> Answer:
            return await two.ask("PUT", "/me", body={"nickname": nickname}, sessionid=who)

        changes = await asyncio.gather(*(rename(f"name {number}") for number in range(12)))
        assert tally(changes) == {(200, 0): 4, LIMITED: 8}
        assert {one.data["limit"] for one in changes if one.status == 429} == {"nicknames_per_user"}
        assert await two.simulator.calls("/wxa/msg_sec_check") == (4 if checked else 0)
        # What changes nothing counts nothing, and is answered.
        present = (await two.ask("GET", "/me", sessionid=session)).data["nickname"]
        assert tally([await rename(f" {present} ") for _ in range(3)]) == {(200, 0): 3}
        assert (await rename("")).code == 40006
        assert (await rename("somebody", await two.session("bob"))).status == 200


async def test_wrong_operator_tokens_are_limited_the_right_one_is_served(
    workers: Start,
) -> None:
    async with workers(limit_operator_token_per_address="4/minute") as two:

        async def present(token: str, address: str = CLIENT) -> Answer:
            path = "/internal/access-token"
            return await two.ask("GET", path, address=address, Authorization=f"Bearer {token}")

        guesses = await asyncio.gather(*(present(f"guess {number}") for number in range(12)))
        assert tally(guesses) == {(403, 40302): 4, LIMITED: 8}
        assert (await present(TOKEN)).status == 200
        assert (await present("guess", OTHER)).status == 403
        # Addresses that are not known are one.
        unknown = await asyncio.gather(*(present("guess", "unknown") for _ in range(12)))
        assert tally(unknown) == {(403, 40302): 4, LIMITED: 8}
        nothing = await two.ask("GET", "/internal/access-token")
        assert (nothing.status, nothing.code) == (403, 40302), "no guess"


def guess() -> str:
    return SessionId.new("A" * 22).text


@pytest.mark.bar("H3")
@pytest.mark.parametrize("path", ["/session", "/verify"])
async def test_dead_ids_are_limited(workers: Start, path: str) -> None:
    async with workers(limit_dead_sessions_per_address="20/minute") as two:
        asking = (two.ask("GET", path, sessionid=guess()) for _ in range(60))
        answers = await asyncio.gather(*asking)
        assert tally(answers) == {(401, 40102): 20, LIMITED: 40}
        limited = next(answer for answer in answers if answer.status == 429)
        assert limited.data == {"limit": "dead_sessions_per_address"}
        # A client that logs in upon this need not wait.
        assert 'error="session_expired"' in limited.headers["WWW-Authenticate"]
        assert (await two.ask("GET", path, address=OTHER, sessionid=guess())).status == 401


@pytest.mark.bar("H1")
async def test_a_limit_of_hundreds_is_kept_within_a_hundredth(
    workers: Start, figure: Figure
) -> None:
    async with workers(limit_dead_sessions_per_address="600/minute") as two:
        asking = (two.ask("GET", "/verify", sessionid=guess()) for _ in range(1800))
        kinds = tally(await asyncio.gather(*asking))
        assert set(kinds) == {(401, 40102), LIMITED}
        figure(f"{kinds[401, 40102]} of 1,800 pass a limit of 600")
        assert 600 <= kinds[401, 40102] <= 606


async def test_a_live_session_never_pays_for_a_guesser_behind_the_same_address(
    workers: Start,
) -> None:
    async with workers(limit_dead_sessions_per_address="2/minute") as two:
        session = await two.session()
        while (await two.ask("GET", "/verify", sessionid=guess())).status != 429:
            pass
        for _ in range(10):
            assert (await two.ask("GET", "/verify", sessionid=session)).status == 200
        assert (await two.log_in("bob")).status == 200


async def test_what_cannot_be_a_guess_is_not_counted(workers: Start) -> None:
    async with workers(limit_dead_sessions_per_address="2/minute") as two:
        replaced = await two.session()
        await two.session()
        for headers, code in (
            ({"sessionid": "x"}, 40104),
            ({}, 40100),
            ({"sessionid": replaced}, 40101),
        ):
            answers = [await two.ask("GET", "/session", **headers) for _ in range(6)]
            assert tally(answers) == {(401, code): 6}


async def test_an_address_that_is_not_known_is_not_limited(workers: Start) -> None:
    off = {"proxies_count": 0, "limit_login_per_address": "1/minute"}
    async with workers(**off, limit_dead_sessions_per_address="1/minute") as two:
        assert tally([await two.log_in() for _ in range(3)]) == {(200, 0): 3}
        dead = [await two.ask("GET", "/session", sessionid=guess()) for _ in range(5)]
        assert tally(dead) == {(401, 40102): 5}


async def test_a_limit_that_is_off_counts_nothing(
    workers: Start, settings: Callable[..., Settings]
) -> None:
    limits = {f"limit_{name}": "off" for name in settings().limits}
    async with workers(**limits) as two:
        await two.session()
        async with redis_of(settings) as raw:
            assert await raw.keys(f"{KEY_PREFIX}*") == []


async def test_a_check_of_a_live_session_counts_nothing(
    workers: Start, settings: Callable[..., Settings]
) -> None:
    async with workers() as two, redis_of(settings) as raw:
        session = await two.session()
        await raw.config_resetstat()
        for path in ("/verify", "/session"):
            for _ in range(5):
                assert (await two.ask("GET", path, sessionid=session)).status == 200
        stats = await raw.info("commandstats")
        assert {name: one["calls"] for name, one in stats.items() if "config" not in name} == {
            "cmdstat_mget": 10,
            "cmdstat_echo": 10,
        }


@pytest.mark.parametrize("kind", ["text", "list", "hash", "stream"])
async def test_what_else_lies_under_a_counters_key_is_overwritten(
    workers: Start, settings: Callable[..., Settings], kind: str
) -> None:
    small = {"limit_login_per_address": "5/minute", "limit_login": "90/day"}
    async with workers(**small) as two, redis_of(settings) as raw:
        await two.session()
        keys = await raw.keys(f"{KEY_PREFIX}*")
        assert len(keys) == 2
        for key in keys:
            await raw.delete(key)
            await {
                "text": lambda key: raw.set(key, b"\xff garbage"),
                "list": lambda key: raw.rpush(key, "x"),
                "hash": lambda key: raw.hset(key, "x", "y"),
                "stream": lambda key: raw.xadd(key, {"x": "y"}),
            }[kind](key)
        assert tally([await two.log_in() for _ in range(6)]) == {(200, 0): 5, LIMITED: 1}


@asynccontextmanager
async def redis_of(settings: Callable[..., Settings]) -> AsyncIterator[Any]:
    """To look behind the services; nothing is emptied by that."""
    url = settings().redis_url
    assert url is not None
    async with redis.asyncio.Redis.from_url(url.get_secret_value()) as raw:
        yield raw


async def used(raw: redis.asyncio.Redis, limit: str) -> int:
    [key] = await raw.keys(f"{KEY_PREFIX}{limit}:*")
    kept = await raw.get(key)
    assert kept is not None
    return int(kept.split()[1])


async def test_one_code_over_and_over_uses_up_nothing_that_all_share(workers: Start) -> None:
    shared = {"limit_login_per_app": "9/minute", "limit_login": "9/minute"}
    async with workers(**shared, limit_login_per_address="off") as two:
        spent = await two.simulator.code("eve")
        assert (await two.log_in(code=spent)).status == 200
        again = [await two.log_in(code=code) for _ in range(20) for code in (spent, "made-up")]
        assert tally(again) == {(400, 40002): 20, (400, 40001): 20}
        assert (await two.log_in("alice", address=OTHER)).status == 200
        assert await two.simulator.exchanges() == 3


async def test_a_new_account_has_no_new_allowance(workers: Start) -> None:
    async with workers(limit_decrypt_per_user="4/hour") as two:
        answers = []
        for _ in range(3):
            session = (await two.log_in("eve")).data["sessionid"]
            for _ in range(2):
                body = await two.simulator.phone("eve")
                answers.append(await two.ask("POST", "/decrypt", body=body, sessionid=session))
            assert (await two.ask("DELETE", "/me", sessionid=session)).status == 200
        assert tally(answers) == {(200, 0): 4, LIMITED: 2}


async def test_ids_are_not_guessed_by_logging_out_either(workers: Start) -> None:
    async with workers(limit_dead_sessions_per_address="5/minute") as two:
        answers = [await two.ask("POST", "/logout", sessionid=guess()) for _ in range(8)]
        assert tally(answers) == {(200, 0): 5, LIMITED: 3}
        session = await two.session()
        assert (await two.ask("POST", "/logout", sessionid=session)).data == {"ended": True}


@pytest.mark.bar("H1")
async def test_without_redis_what_is_limited_is_unavailable(workers: Start) -> None:
    async with workers(redis_url="redis://127.0.0.1:1") as two:
        wrong = {"Authorization": "Bearer wrong"}
        for answer in (
            await two.log_in(),
            await two.ask("GET", "/internal/access-token", **wrong),
            await two.ask("GET", "/session", sessionid=guess()),
        ):
            assert (answer.status, answer.code) == (503, 50300)
            assert answer.headers["Retry-After"] == "1"
        assert await two.simulator.exchanges() == 0


async def test_a_limit_is_told_in_every_form(workers: Start) -> None:
    async with workers(limit_login_per_address="1/minute", wafer_compat=True) as two:
        await two.session()
        plain = await two.log_in()
        problem = await two.log_in(Accept="application/problem+json", **{"Accept-Language": "en"})
        wafer = await two.ask("GET", "/weapp/login", **{"X-WX-Code": await two.simulator.code()})
        for answer in (plain, problem, wafer):
            assert answer.status == 429
            assert answer.data == {"limit": "login_per_address", "retry": "same_code"}
            assert 58 <= int(answer.headers["Retry-After"]) <= 61
        assert (plain.code, plain.body["error"]) == (42900, "rate_limited")
        assert problem.body["type"] == "urn:minigate:error:rate_limited"
        assert problem.body["title"] == "Too many requests; try again later"
        assert wafer.code == -1


async def test_clients_that_read_bodies_only_get_a_429_all_the_same(workers: Start) -> None:
    limits = {"limit_login_per_address": "1/minute", "limit_dead_sessions_per_address": "1/minute"}
    async with workers(auth_error_status=200, **limits) as two:
        await two.session()
        assert (await two.log_in()).status == 429
        dead = [await two.ask("GET", "/session", sessionid=guess()) for _ in range(4)]
        assert dead[0].status == 200
        assert (dead[-1].status, dead[-1].code) == LIMITED
