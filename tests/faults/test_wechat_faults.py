"""WeChat slow, broken, lying or refusing: the documented error, in time, and no secret told."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus, urlencode

import aiohttp
import orjson
import pytest
from pydantic import SecretStr

from service import wiring
from service.simulator.app import create_app as create_simulator
from service.simulator.settings import AppEntry, SimulatorSettings
from service.wechat import breaker
from service.wechat.http import open_http
from tests.support.effort import effort
from tests.support.ports import free_port
from tests.support.process import Connection, RedisServer, resident
from tests.support.proxy import ChaosProxy
from tests.support.running import Api, Simulator, running, running_service
from tests.support.settings import APP_SECRET, APPID
from tests.support.workers import two_workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from service.config.settings import Settings
    from tests.support.figure import Figure
    from tests.support.running import Answer

OK: Final = (200, 0)
CODE_INVALID: Final = (400, 40001)
CODE_USED: Final = (400, 40002)
PHONE_CODE_INVALID: Final = (400, 40003)
BLOCKED: Final = (403, 40301)
LIMITED: Final = (429, 42901)
UNAVAILABLE: Final = (502, 50200)
MISCONFIGURED: Final = (503, 50310)

Case = tuple[dict[str, Any], tuple[int, int]]

EXPECTED: Final[dict[str, list[Case]]] = {
    "latency": [
        ({"median_ms": 100, "tail_ms": 200}, OK),
        ({"median_ms": 4000, "tail_ms": 4000}, UNAVAILABLE),
    ],
    "hang": [({}, UNAVAILABLE)],
    "reset": [({}, UNAVAILABLE)],
    "api_down": [({"hosts": ["127.0.0.1"]}, UNAVAILABLE), ({"hosts": ["elsewhere"]}, OK)],
    "status": [({"status": status}, UNAVAILABLE) for status in (200, 201, 204, 304, 403, 429, 500)]
    + [({"status": 503, "times": 1}, UNAVAILABLE)],
    "html_502": [({}, UNAVAILABLE)],
    "html_200": [({}, UNAVAILABLE)],
    "redirect": [({}, UNAVAILABLE), ({"status": 307}, UNAVAILABLE)],
    "huge_body": [({}, UNAVAILABLE), ({"megabytes": 1}, UNAVAILABLE)],
    "gzip_bomb": [({}, UNAVAILABLE), ({"megabytes": 1}, UNAVAILABLE)],
    "errcode": [
        ({"errcode": -1}, UNAVAILABLE),
        ({"errcode": -1, "times": 1}, OK),
        ({"errcode": 40029}, CODE_INVALID),
        ({"errcode": 42003}, CODE_INVALID),
        ({"errcode": 40163}, CODE_USED),
        ({"errcode": 40226}, BLOCKED),
        ({"errcode": 45009}, LIMITED),
        ({"errcode": 45011}, LIMITED),
        ({"errcode": 40002}, MISCONFIGURED),
        ({"errcode": 40013}, MISCONFIGURED),
        ({"errcode": 40125}, MISCONFIGURED),
        ({"errcode": 40164}, MISCONFIGURED),
        ({"errcode": 40243}, MISCONFIGURED),
        ({"errcode": 48001}, MISCONFIGURED),
        ({"errcode": 50002}, MISCONFIGURED),
        ({"errcode": 12345}, UNAVAILABLE),
        ({"errcode": 2**40}, UNAVAILABLE),
        ({"errcode": -1, "uses_code": True}, CODE_USED),
    ],
    "blocked_user": [({"user": "alice"}, BLOCKED), ({"user": "bob"}, OK)],
    "ip_whitelist": [({"ips": ["203.0.113.7"]}, MISCONFIGURED), ({"ips": ["127.0.0.1"]}, OK)],
    "clock_skew": [({"seconds": 10**8}, OK), ({"seconds": -(10**8)}, OK)],
    "drop_after_consume": [({}, UNAVAILABLE)],
    "reset_after_headers": [({}, UNAVAILABLE), ({"body_bytes": 20}, UNAVAILABLE)],
    "empty_body": [({}, UNAVAILABLE)],
    "truncated_json": [({}, UNAVAILABLE), ({"keep": 0}, UNAVAILABLE), ({"keep": 1}, UNAVAILABLE)],
    "missing_field": [
        ({"field": "session_key"}, UNAVAILABLE),
        ({"field": "openid"}, UNAVAILABLE),
        ({"field": "unionid"}, OK),
    ],
    "wrong_type": [
        ({"field": name, "value": value}, UNAVAILABLE)
        for name in ("session_key", "openid", "unionid")
        for value in (12345, True, ["x"], {"x": "y"})
    ]
    + [
        ({"field": "openid", "value": ""}, UNAVAILABLE),
        ({"field": "openid", "value": None}, UNAVAILABLE),
        ({"field": "unionid", "value": None}, OK),
        ({"field": "session_key", "value": "not base64"}, UNAVAILABLE),
        ({"field": "session_key", "value": "c2hvcnQ="}, UNAVAILABLE),
    ],
    "content_type": [
        ({"value": value}, OK)
        for value in (
            "text/plain",
            "application/json; encoding=utf-8",
            "text/html; charset=gbk",
            "image/png",
            "nonsense",
        )
    ],
}
PHONE_CODE: Final = "/wxa/business/getuserphonenumber"
TOKEN: Final = "/cgi-bin/stable_token"
PHONE_EXPECTED: Final[dict[str, list[Case]]] = {
    "token_superseded": [({"times": 1}, OK), ({}, MISCONFIGURED)],
    "not_entitled": [({}, MISCONFIGURED)],
    "openid_refused": [({}, OK)],
    "wrong_secret": [({}, OK), ({"errcode": 40125}, OK)],  # for those who bring a wrong one
    "country_code_number": [({}, OK)],
    "latency": [({"endpoint": PHONE_CODE, "median_ms": 100, "tail_ms": 200}, OK)],
    **{
        kind: [({"endpoint": PHONE_CODE}, UNAVAILABLE), ({"endpoint": TOKEN}, UNAVAILABLE)]
        for kind in ("hang", "reset", "html_502", "redirect", "huge_body", "truncated_json")
    },
    "missing_field": [
        ({"endpoint": PHONE_CODE, "field": "phone_info"}, UNAVAILABLE),
        ({"endpoint": TOKEN, "field": "access_token"}, UNAVAILABLE),
        ({"endpoint": TOKEN, "field": "expires_in"}, UNAVAILABLE),
    ],
    "wrong_type": [
        ({"endpoint": PHONE_CODE, "field": "phone_info", "value": "x"}, UNAVAILABLE),
        ({"endpoint": TOKEN, "field": "access_token", "value": 7}, UNAVAILABLE),
        ({"endpoint": TOKEN, "field": "expires_in", "value": "x"}, UNAVAILABLE),
    ],
    "errcode": [
        ({"endpoint": PHONE_CODE, "errcode": 40029}, PHONE_CODE_INVALID),
        ({"endpoint": PHONE_CODE, "errcode": 40013}, PHONE_CODE_INVALID),
        ({"endpoint": PHONE_CODE, "errcode": 48001}, MISCONFIGURED),
        ({"endpoint": PHONE_CODE, "errcode": -1, "times": 1}, OK),
        ({"endpoint": TOKEN, "errcode": 40164}, MISCONFIGURED),
        ({"endpoint": TOKEN, "errcode": -1}, UNAVAILABLE),
    ],
}


def numbered(expected: dict[str, list[Case]]) -> list[Any]:
    return [
        pytest.param(kind, params, answer, id=f"{kind}-{number}")
        for kind, cases in expected.items()
        for number, (params, answer) in enumerate(cases)
    ]


@dataclass
class Watched:
    """A service and its simulator, all that they let out, and all that must stay in."""

    api: Api
    simulator: Simulator
    world: Any
    records: list[str]
    """What was logged, before the service's own filter had seen it."""
    said: list[str] = field(default_factory=list)
    """What was answered, less the sessionids of logins."""
    sessionids: list[str] = field(default_factory=list)

    async def login(self, *, code: str | None = None, user: str = "alice") -> Answer:
        code = code or self.world.log_in(user=user, appid=APPID)
        answer = await self.api.login(code)
        self._keep(answer)
        return answer

    async def login_by_phone(self) -> Answer:
        login_code = self.world.log_in(user="alice", appid=APPID)
        phone = await self.simulator.phone()
        return await self.api.ask(
            "POST", "/login/phone", json={"code": phone["code"], "loginCode": login_code}
        )

    async def ask(self, method: str, path: str, sessionid: str) -> Answer:
        answer = await self.api.ask(method, path, headers={"sessionid": sessionid})
        self._keep(answer)
        return answer

    def secrets(self) -> list[str]:
        codes = self.world.codes._codes.values()
        return [
            APP_SECRET,
            *(code.text for code in codes),
            *(code.session_key for code in codes),
            *(sessionid.partition(".")[2] for sessionid in self.sessionids),
        ]

    def leaks(self, output: str) -> list[str]:
        """Which secrets, in whatever form, stand in the output, the log or an answer."""
        everything = "\n".join((output, *self.records, *self.said))
        return [secret for secret in self.secrets() if any(f in everything for f in forms(secret))]

    def _keep(self, answer: Answer) -> None:
        body = dict(answer.body or {})
        if answer.status == 200 and "sessionid" in (body.get("data") or {}):
            data = dict(body["data"])
            self.sessionids.append(data.pop("sessionid"))
            body["data"] = data
        self.said.append(f"{dict(answer.headers)} {orjson.dumps(body).decode()}")


def forms(secret: str) -> set[str]:
    """A secret as it is, and as bytes, URLs, JSON, base64 and hex may show it."""
    raw = secret.encode()
    found = {
        secret,
        secret.replace("/", "\\/"),
        quote(secret, safe=""),
        quote_plus(secret),
        raw.hex(),
        raw.hex().upper(),
        *_base64_forms(raw),
    }
    try:  # a session_key or the secret of a session: what it stands for
        decoded = base64.b64decode(secret + "=" * (-len(secret) % 4), altchars=b"-_")
    except binascii.Error:
        return found
    return found | {decoded.hex(), decoded.hex().upper(), repr(decoded)[2:-1]}


def _base64_forms(raw: bytes) -> set[str]:
    """What base64 makes of `raw` wherever in a text it stands, less its uncertain ends."""
    found = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            text = encode(b"\0" * before + raw).decode()
            start = (before * 8 + 5) // 6
            end = (before + len(raw)) * 8 // 6
            found.add(text[start:end])
    return found


class Tape(logging.Handler):
    """Keeps the text of every record as it was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.args!r}")
        if record.exc_info:
            self.lines.append(logging.Formatter().formatException(record.exc_info))


@asynccontextmanager
async def watched(
    settings: Callable[..., Settings], *, bases: Iterable[str] = ("{simulator}",), **more: object
) -> AsyncIterator[Watched]:
    """A service with LOG_LEVEL=DEBUG over a simulator whose secrets are known."""
    app = create_simulator(
        settings=SimulatorSettings(
            apps=(AppEntry(appid=APPID, secret=SecretStr(APP_SECRET), platform="shops"),),
            session_key_interval_seconds=0,
            minute_quota=1_000_000,
        )
    )
    async with running(app) as url, aiohttp.ClientSession() as http:
        configured = settings(
            wechat_api_base=tuple(base.format(simulator=url) for base in bases),
            login_coalesce_ms=0,
            log_level="DEBUG",
            access_log=True,
            **more,
        )
        async with running_service(configured) as api:
            tape, root = Tape(), logging.getLogger()
            root.handlers.insert(0, tape)
            try:
                yield Watched(api, Simulator(url, http), app.ctx.world, tape.lines)
            finally:
                root.removeHandler(tape)


def patience(expected: tuple[int, int]) -> dict[str, Any]:
    """Where nothing is to be waited for in the end, less is waited."""
    return {"wechat_timeout_ms": 1000} if expected == UNAVAILABLE else {}


async def test_every_fault_there_is_has_an_expectation(simulator: Simulator) -> None:
    async with simulator.http.get(f"{simulator.url}/sim/faults") as reply:
        catalogue = await reply.json()
    assert {one["kind"] for one in catalogue["kinds"]} == {*EXPECTED, *PHONE_EXPECTED}


@pytest.mark.bar("C1", "E1")
@pytest.mark.parametrize(("kind", "params", "expected"), numbered(EXPECTED))
async def test_a_fault_of_wechat_is_answered_as_documented_and_leaks_nothing(
    settings: Callable[..., Settings],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    params: dict[str, Any],
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr(breaker, "QUOTA_PAUSE_SECONDS", 0)
    async with watched(settings, **patience(expected)) as service:
        former = (await service.login()).data["sessionid"]
        await service.simulator.fault(kind, **params)
        began = time.monotonic()
        answer = await service.login()
        took = time.monotonic() - began
        assert (answer.status, answer.code) == expected
        assert took < 5
        if expected == LIMITED:
            assert int(answer.headers["Retry-After"]) > 0
        if expected == OK:
            former = answer.data["sessionid"]
        # A login that fails takes nothing from anybody.
        assert (await service.ask("GET", "/session", former)).status == 200
        await service.simulator.heal()
        assert (await service.login()).status == 200
        assert (await service.ask("GET", "/session", former)).code == 40101
        assert (await service.ask("POST", "/logout", service.sessionids[-1])).status == 200
    assert service.records
    output = "".join(capfd.readouterr())
    assert "service.stores.events login" in output
    assert service.leaks(output) == []


@pytest.mark.bar("C1")
@pytest.mark.parametrize(("kind", "params", "expected"), numbered(PHONE_EXPECTED))
async def test_a_fault_during_a_phone_login_is_answered_as_documented(
    settings: Callable[..., Settings],
    kind: str,
    params: dict[str, Any],
    expected: tuple[int, int],
) -> None:
    async with watched(settings, **patience(expected)) as service:
        await service.simulator.fault(kind, **params)
        began = time.monotonic()
        answer = await service.login_by_phone()
        took = time.monotonic() - began
        assert (answer.status, answer.code) == expected
        assert took < 10  # two calls of WeChat's, one after the other
        await service.simulator.heal()
        assert (await service.login_by_phone()).status == 200


async def test_the_search_for_secrets_finds_one_in_any_form(
    settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    async with watched(settings) as service:
        await service.login()
        assert service.leaks("".join(capfd.readouterr())) == []
        [app_secret, code, session_key, of_session] = service.secrets()
        for secret in (app_secret, code, session_key, of_session):
            hidden = [base64.b64encode(f"{pad}={secret}&".encode()).decode() for pad in ("", "x")]
            for planted in (*forms(secret), *hidden):
                assert service.leaks(f"?x={planted}&y") == [secret]
                logging.getLogger("planted").debug("found %s", planted)
                assert service.leaks("") == [secret]
                service.records.clear()
                service.said.append(planted)
                assert service.leaks("") == [secret]
                service.said.clear()
        assert service.leaks("") == []


class Leaky:
    """A driver whose errors quote the address, as many of aiohttp's do."""

    def request(self, _method: str, url: str, *, params: dict[str, str], **_: object) -> None:
        raise RuntimeError(f"{url}?{urlencode(params)}")


@pytest.mark.bar("E1")
async def test_an_error_that_quotes_the_address_is_not_passed_on(
    settings: Callable[..., Settings],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with watched(settings) as service:
        monkeypatch.setattr(service.api.app.ctx.services.login._wechat._http, "_http", Leaky())
        assert (await service.login()).code == 50200
        monkeypatch.undo()
    assert service.leaks("".join(capfd.readouterr())) == []


@pytest.mark.bar("C1")
@pytest.mark.parametrize("kind", ["huge_body", "gzip_bomb"])
async def test_bodies_without_an_end_take_no_memory(
    simulator: Simulator, tmp_path: Path, figure: Figure, kind: str
) -> None:
    """Of a service in a process of its own; each is 200 MB, unpacked."""
    async with (
        RedisServer() as redis,
        two_workers(redis, simulator, tmp_path) as service,
        await Connection.open(service.port) as connection,
    ):

        async def log_in() -> int:
            body = orjson.dumps({"code": await simulator.code()})
            return (await connection.ask("POST", "/login", body=body)).status

        assert await log_in() == 200
        before = {pid: resident(pid) for pid in service.workers}
        await simulator.fault(kind, megabytes=200)
        assert {await log_in() for _ in range(effort(5, 20))} == {502}
        grown = max(resident(pid) - held for pid, held in before.items()) / 2**20
    figure(f"{kind}: {grown:.1f} MB more")
    assert grown <= 30


@pytest.mark.bar("C1")
async def test_a_redirect_is_not_followed(settings: Callable[..., Settings]) -> None:
    async with ChaosProxy("127.0.0.1", 1) as elsewhere, watched(settings) as service:
        await service.simulator.fault("redirect", location=f"http://127.0.0.1:{elsewhere.port}/")
        assert (await service.login()).code == 50200
        assert elsewhere.connections == 0


async def test_a_code_that_wechat_cannot_have_seen_may_be_used_again(
    settings: Callable[..., Settings],
) -> None:
    async with watched(settings) as direct, between(direct, settings) as (proxy, service):
        await proxy.refuse()
        code = direct.world.log_in(user="alice", appid=APPID)
        for _ in range(2):
            refused = await service.login(code)
            assert (refused.code, refused.data) == (50200, {"retry": "same_code"})
        await proxy.accept()
        assert (await service.login(code)).status == 200


@asynccontextmanager
async def between(
    direct: Watched, settings: Callable[..., Settings]
) -> AsyncIterator[tuple[ChaosProxy, Api]]:
    """A proxy before the simulator, and a second service that knows no other way to it."""
    port = int(direct.simulator.url.rpartition(":")[2])
    async with ChaosProxy("127.0.0.1", port) as proxy:
        through = (f"http://127.0.0.1:{proxy.port}",)
        async with running_service(settings(wechat_api_base=through, login_coalesce_ms=0)) as api:
            yield proxy, api


async def test_the_second_host_serves_while_the_first_is_down(
    settings: Callable[..., Settings],
) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    async with watched(settings, bases=(dead, "{simulator}")) as service:
        for number in range(20):
            assert (await service.login(user=f"user-{number}")).status == 200
        assert (await service.simulator.stats())["repeatedCodes"] == 0


async def test_a_host_that_breaks_off_is_not_made_up_for_by_the_second(
    settings: Callable[..., Settings],
) -> None:
    async with watched(settings) as service:
        by_name = service.simulator.url.replace("127.0.0.1", "localhost")
    async with watched(settings, bases=("{simulator}", by_name)) as service:
        await service.simulator.fault("api_down", hosts=["127.0.0.1"])
        for number in range(10):
            assert (await service.login(user=f"user-{number}")).code == 50200
        stats = await service.simulator.stats()
        assert stats["repeatedCodes"] == 0
        assert stats["calls"]["/sns/jscode2session"]["total"] == 10


async def log_in_over_resets(service: Watched, each: int = 100) -> dict[str, Any]:
    """Three times as many logins over kept-alive connections, every third of them reset."""

    async def client(name: str) -> None:
        for number in range(each):
            await service.login(user=f"{name}-{number}")

    await service.simulator.fault("reset", probability=1 / 3)
    await asyncio.gather(*(client(name) for name in "abc"))
    return await service.simulator.stats()


@pytest.mark.bar("C2")
@pytest.mark.timeout(180)
async def test_a_connection_that_is_reset_sends_no_code_twice(
    settings: Callable[..., Settings], figure: Figure
) -> None:
    each = effort(100, 700)
    async with watched(settings) as service:
        stats = await log_in_over_resets(service, each)
    figure(f"{stats['repeatedCodes']} of {3 * each} codes sent twice")
    assert stats["calls"]["/sns/jscode2session"]["total"] == 3 * each
    assert stats["repeatedCodes"] == 0
    assert 1.2 * each < len(service.sessionids) < 2.7 * each


@pytest.mark.bar("C2")
async def test_with_the_drivers_defaults_codes_would_be_sent_twice(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_repeats(configured: Settings) -> aiohttp.ClientSession:
        session = open_http(configured)
        session._retry_connection = True
        return session

    monkeypatch.setattr(wiring, "open_http", with_repeats)
    async with watched(settings) as service:
        stats = await log_in_over_resets(service)
    assert stats["repeatedCodes"] > 0


async def test_idle_connections_that_were_cut_cost_at_most_their_own_login(
    settings: Callable[..., Settings],
) -> None:
    async with watched(settings) as direct, between(direct, settings) as (proxy, service):
        seen: Counter[tuple[int, int]] = Counter()
        for number in range(300):
            code = direct.world.log_in(user=f"user-{number}", appid=APPID)
            if number % 3 == 0:
                proxy.cut(reset=number % 2 == 0)
            answer = await service.login(code)
            seen[answer.status, answer.code] += 1
        stats = await direct.simulator.stats()
    print(seen)  # noqa: T201 # figures to keep
    assert set(seen) <= {OK, UNAVAILABLE}
    assert stats["repeatedCodes"] == 0
    assert seen[OK] >= 200
