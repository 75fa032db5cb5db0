"""SECRET_KEYS are changed while users are served: nobody is logged out, and no key is a 500."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from service.wiring import migrate
from tests.support.running import running_service
from tests.support.settings import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.running import Api, Simulator

NEW_KEY: Final = "secret-key-canary-of-today-2f7c9a4e61d8"
USERS: Final = 8


class Instances:
    """Two of the service behind a balancer, each replaced in turn by one with other settings."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._own: list[AsyncExitStack] = []
        self._apis: list[Api] = []
        self._under_way: Counter[int] = Counter()
        self._next = 0

    async def start(self, settings: Settings) -> None:
        for _ in range(2):
            await self._start(settings)

    async def restart(self, settings: Settings, crowd: Crowd) -> None:
        """One after the other: a new one comes, and the old one goes when it has answered all.

        Old and new serve the crowd side by side for a while.
        """
        for _ in range(2):
            await self._start(settings)
            await crowd.go_on()
            old, own = self._apis.pop(0), self._own.pop(0)
            while self._under_way[id(old)]:
                await asyncio.sleep(0.005)
            await own.aclose()

    async def ask(self, method: str, path: str, **ask: Any) -> Any:
        self._next += 1
        api = self._apis[self._next % len(self._apis)]
        self._under_way[id(api)] += 1
        try:
            return await api.ask(method, path, **ask)
        finally:
            self._under_way[id(api)] -= 1

    async def _start(self, settings: Settings) -> None:
        own = await self._stack.enter_async_context(AsyncExitStack())
        self._apis.append(await own.enter_async_context(running_service(settings)))
        self._own.append(own)


class Crowd:
    """Users who use the service without a pause, and what they were answered."""

    def __init__(self, instances: Instances, simulator: Simulator) -> None:
        self._instances = instances
        self._simulator = simulator
        self._living: list[asyncio.Task[None]] = []
        self.seen: Counter[tuple[str, int]] = Counter()

    def come(self) -> None:
        self._living = [asyncio.create_task(self._live(f"user{number}")) for number in range(USERS)]

    async def leave(self) -> None:
        for one in self._living:
            one.cancel()
        await asyncio.gather(*self._living, return_exceptions=True)

    async def go_on(self) -> None:
        """Wait until they were answered some hundred times more."""
        before = self.seen.total()
        while self.seen.total() < before + 300:
            await asyncio.sleep(0.02)
            assert not [one for one in self._living if one.done()]

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        answer = await self._instances.ask(method, path, **more)
        self.seen[path, answer.status] += 1
        assert answer.status == 200, (path, answer.body)
        return answer

    async def _live(self, user: str) -> None:
        number = f"1380000000{user[-1]}"
        phone = await self._simulator.phone(user, phone=number)
        both = {"code": phone["code"], "loginCode": await self._simulator.code(user)}
        login = await self._ask("POST", "/login/phone", json=both)
        session = _of(login.data)
        while True:
            if int(user[-1]) % 2:  # the others keep the session that they have
                code = await self._simulator.code(user)
                session = _of((await self._ask("POST", "/login", json={"code": code})).data)
            for _ in range(5):
                await self._ask("GET", "/verify", headers=session)
                me = await self._ask("GET", "/me", headers=session)
                assert me.data["phone"].endswith(number)
            body = await _profile(self._simulator, user)
            await self._ask("POST", "/decrypt", json=body, headers=session)


async def test_nobody_is_logged_out_while_keys_are_changed(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    def ring(keys: str) -> Settings:
        return settings(
            wechat_api_base=(simulator.url,),
            secret_keys=keys,
            login_coalesce_ms=0,
            limit_decrypt_per_user="off",
        )

    async with AsyncExitStack() as stack:
        instances = Instances(stack)
        await instances.start(ring(SECRET_KEY))
        crowd = Crowd(instances, simulator)
        crowd.come()
        for keys in (f"{SECRET_KEY},{NEW_KEY}", f"{NEW_KEY},{SECRET_KEY}"):
            await crowd.go_on()
            await instances.restart(ring(keys), crowd)
        await crowd.go_on()
        assert await migrate(ring(f"{NEW_KEY},{SECRET_KEY}")) == (USERS, 0)
        await crowd.leave()  # the sessions that the old key sealed have to end before it goes
        crowd.come()
        await crowd.go_on()
        await instances.restart(ring(NEW_KEY), crowd)
        await crowd.go_on()
        await crowd.leave()
    assert {status for _, status in crowd.seen} == {200}, crowd.seen


@pytest.mark.parametrize("renewal", ["fixed", "sliding"])
async def test_a_key_that_is_gone_is_no_fault_of_the_service(
    settings: Callable[..., Settings], simulator: Simulator, renewal: str
) -> None:
    """A session stays good; what it cannot open is told as such; a login mends it."""
    common = {"wechat_api_base": (simulator.url,), "session_renewal": renewal}
    async with running_service(settings(**common)) as api:
        code, key = await simulator.code(), "one-key"
        login = await api.login(code, key=key)
        session = {"sessionid": login.data["sessionid"]}
        phone = {"code": (await simulator.phone())["code"]}
        assert (await api.ask("PUT", "/me/phone", json=phone, headers=session)).status == 200
    async with running_service(settings(**common, secret_keys=NEW_KEY)) as api:
        encrypted = await _profile(simulator)
        for method, path, body, expected in [
            ("GET", "/verify", None, (200, None)),
            ("GET", "/session", None, (200, 0)),
            ("GET", "/me", None, (200, 0)),
            ("GET", "/me/export", None, (200, 0)),
            ("PATCH", "/me", {"nickname": "小明"}, (200, 0)),
            ("POST", "/decrypt", encrypted, (400, 40005)),
            ("PUT", "/me/phone", encrypted, (400, 40005)),
        ]:
            answer = await api.ask(method, path, json=body, headers=session)
            assert (answer.status, answer.body and answer.code) == expected, (path, answer.body)
            if answer.status == 400:
                assert answer.data == {"relogin": True}
        assert (await api.ask("GET", "/me", headers=session)).data["phone"] is None
        repeated = await api.login(code, key=key)
        assert repeated.code == 40002, "its answer cannot be given again"
        again = await api.login(await simulator.code())  # within the time of shared logins
        assert again.status == 200
        assert again.data["user"]["id"] == login.data["user"]["id"]
        opened = await api.ask(
            "POST", "/decrypt", json=await _profile(simulator), headers=_of(again.data)
        )
        assert opened.status == 200
        assert (await api.session(session["sessionid"])).code == 40101


async def _profile(simulator: Simulator, user: str = "alice") -> dict[str, str]:
    profile = await simulator.profile(user)
    return {name: profile[name] for name in ("encryptedData", "iv")}


def _of(login: dict[str, str]) -> dict[str, str]:
    return {"sessionid": login["sessionid"]}
