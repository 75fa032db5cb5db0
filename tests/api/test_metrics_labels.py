"""No label of /metrics holds anything that somebody sent."""

from __future__ import annotations

import asyncio
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest

from service import __version__, stores
from service.core.errors import error_classes
from service.core.events import EventName
from service.http.answer_count import CLIENT_GONE, NO_ROUTE
from service.redis import errors as redis_errors
from service.wechat import errcodes
from service.wechat.measured import Outcome
from tests.support.metrics import scrape
from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.running import Api, Simulator

ENDPOINTS: Final = {
    "/sns/jscode2session",
    "/cgi-bin/stable_token",
    "/wxa/business/getuserphonenumber",
    "/wxa/checksession",
    "/wxa/msg_sec_check",
}
SCRIPTS: Final = {path.stem for path in (Path(stores.__path__[0]) / "lua").iterdir()}
EVIL: Final = (
    'evil"} 1\nminigate_forged{x="',
    "evil\\",
    "эvil-ы-" + "x" * 300,
    "evil'; DROP TABLE users",
    "../../evil",
)


def allowed(api: Api) -> dict[str, set[str]]:
    """All that a label may hold, from the code alone."""
    statuses = {f"{number}xx" for number in range(1, 6)}
    errors = {one.error for one in error_classes().values()}
    return {
        "route": {f"/{route.path}" for route in api.app.router.routes} | {NO_ROUTE},
        "method": {"read", "write"},
        "outcome": errors | statuses | {"ok", "cancelled", CLIENT_GONE, *get_args(Outcome)},
        "errcode": {str(one) for one in errcodes.KNOWN} | {"", "other"},
        "event": set(get_args(EventName)),
        "endpoint": ENDPOINTS,
        "appid": set(api.app.ctx.settings.apps),
        "operation": SCRIPTS
        | {"read", "find", "write", "health", "GET", "SET", "DEL", "TYPE", "TIME"},
        "reason": {*redis_errors._REASONS.values(), "unreachable", "timeout", "error"},
        "pool": {"redis", "sql", "wechat"},
        "version": {__version__},
        "python": {platform.python_version()},
    }


@pytest.fixture
def made(settings: Callable[..., Settings], simulator: Simulator) -> Settings:
    return settings(
        wechat_api_base=(simulator.url,),
        login_coalesce_ms=0,
        wafer_compat=True,
        internal_token="internal-token-canary-0123456789abcdef",
    )


async def raw(api: Api, request: str) -> None:
    """What no client library would send."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode("utf-8", "surrogateescape"))
    async with asyncio.timeout(10):
        await reader.read()
    writer.close()


async def ask_everything(api: Api, simulator: Simulator) -> None:
    session = (await api.login(await simulator.code())).data["sessionid"]
    routes = [
        (method, f"/{route.path}") for route in api.app.router.routes for method in route.methods
    ]
    for number, (method, path) in enumerate(routes):
        evil = EVIL[number % len(EVIL)].encode("ascii", "ignore").decode().replace("\n", "")
        headers = {
            "X-Request-ID": evil,
            "X-WX-Appid": evil,
            "User-Agent": evil,
            "Idempotency-Key": evil,
            "sessionid": session if number % 2 else evil,
        }
        await api.ask(method, path.replace("<name:str>", "evil.png"), headers=headers)
    for evil in EVIL:
        await api.ask("GET", f"/{evil.replace(chr(10), '%0a')}")
        await api.ask("POST", "/login", json={"code": evil, "appid": evil, "device": evil})
        await api.ask("POST", "/login", json={"code": evil, "device": evil})
        await api.ask("POST", "/login", json={"code": "evil", "appid": APPID, "device": evil})
        await api.ask("GET", "/wx/onlogin", params={"code": evil, "appid": evil})
        await api.ask("GET", "/readyz", params={"exclude": evil})
    for request in (
        "EVIL /verify HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /evil\udcff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "evil\r\n\r\n",
        "GET http://evil/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /verify/evil?evil HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"GET /{'e' * 9000} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ):
        await raw(api, request)


async def test_no_label_holds_anything_from_outside(made: Settings, simulator: Simulator) -> None:
    async with running_service(made) as api:
        # Other tests of this process may have had other mini-programs.
        before = (await scrape(api)).labels
        await ask_everything(api, simulator)
        for errcode in (40029, 99999, -77, 2**40, 40125, 45011):
            await simulator.fault("errcode", errcode=errcode, times=2)
            for _ in range(2):
                await api.login(await simulator.code())
            await simulator.heal()
        for event in get_args(EventName):
            api.app.ctx.services.events.record(event, user="evil", device="evil", reason="evil")
        found = await scrape(api)
        fine = allowed(api)
    assert "evil" not in found.text.lower()
    unknown = {
        (name, value)
        for name, value in found.labels - before
        if value not in fine.get(name, ()) and not (name == "le" and float(value) > 0)
    }
    assert unknown == set()
    errcodes_seen = {value for name, value in found.labels if name == "errcode"}
    assert {"40029", "40125", "other"} <= errcodes_seen


async def test_a_wechat_that_lies_forges_no_label(
    made: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[dict[str, Any]] = [
        {"errcode": EVIL[0]},
        {"errcode": [EVIL[1]]},
        {"errcode": True},
        {"errcode": 40029.0},
        {"errcode": None, "errmsg": EVIL[0]},
        {"openid": EVIL[0], "session_key": EVIL[1]},
    ]

    async def lie(*_: object) -> dict[str, Any]:
        return answers.pop()

    async with running_service(made) as api:
        monkeypatch.setattr("service.wechat.http.WeChatHttp._send", lie)
        before = (await scrape(api)).labels
        while answers:
            assert (await api.login(f"code-{len(answers)}")).status >= 400
        found = await scrape(api)
        fine = allowed(api)
    assert "evil" not in found.text.lower()
    new = {(name, value) for name, value in found.labels - before if name != "le"}
    assert [one for one in new if one[1] not in fine.get(one[0], ())] == []
