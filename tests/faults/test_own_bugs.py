"""A bug of ours is a 500 with its place in the log; the same out of Redis's driver is a 503."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from redis.asyncio.connection import AbstractConnection

if TYPE_CHECKING:
    from tests.support.running import Answer, Api, Simulator


def fail(*_: object, **__: object) -> NoReturn:
    raise TypeError("a bug")


async def fail_later(*_: object, **__: object) -> NoReturn:
    fail()


OURS: dict[str, list[str]] = {
    # What is patched, and who asks for it.
    "service.stores.session_record.write": ["/login"],
    "service.stores.session_record.SessionRecord.session": ["/verify"],
    "service.redis.node.encode_command": ["/login", "/logout"],
    "service.redis.batching.encode_command": ["/verify", "/me"],
    "service.redis.scripts._send": ["/login", "/logout"],
    "service.redis.wire.Wire.send": ["/login", "/verify", "/me"],
    "service.redis.wire.Wire._take": ["/login", "/verify", "/me"],
    "service.redis.clock.ServerClock.now_ms": ["/login", "/logout", "/verify"],
    "service.stores.code_markers.digest": ["/login"],
}
CASES = [(patched, path) for patched, paths in OURS.items() for path in paths]


async def ask(api: Api, simulator: Simulator, path: str, session: dict[str, str]) -> Answer:
    if path == "/login":
        return await api.login(await simulator.code())
    return await api.ask("POST" if path == "/logout" else "GET", path, headers=session)


async def log_in(api: Api, simulator: Simulator) -> dict[str, str]:
    login = await api.login(await simulator.code())
    return {"sessionid": login.data["sessionid"]}


@pytest.mark.parametrize(("patched", "path"), CASES)
async def test_a_bug_of_ours_is_a_500_with_its_place(
    api: Api,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    patched: str,
    path: str,
) -> None:
    session = await log_in(api, simulator)
    asynchronous = patched.endswith("scripts._send")
    with monkeypatch.context() as patch:
        patch.setattr(patched, fail_later if asynchronous else fail)
        answer = await ask(api, simulator, path, session)
    assert (answer.status, answer.code) == (500, 50000)
    assert answer.data is None
    [record] = [one for one in caplog.records if "TypeError" in one.message]
    assert record.message.startswith("failed: TypeError: a bug at test_own_bugs")
    assert vars(record)["requestId"] == answer.body["requestId"]
    assert not [one for one in caplog.messages if one.startswith(("redis: ", "sessions: "))]
    # It is over with the bug: nothing hangs, nobody is stuck.
    assert (await ask(api, simulator, path, session)).status == 200


@pytest.mark.parametrize("name", ["send_packed_command", "read_response"])
@pytest.mark.parametrize("path", ["/login", "/logout", "/verify"])
async def test_the_same_out_of_the_driver_is_a_503(
    api: Api,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    path: str,
) -> None:
    session = await log_in(api, simulator)
    for node in api.app.ctx.services.sessions.redis.topology.nodes():
        await node.close_idle()  # so that the driver is asked to connect
    kinds: list[Any] = [AbstractConnection, *AbstractConnection.__subclasses__()]
    with monkeypatch.context() as patch:
        for kind in kinds:
            if name in vars(kind):
                patch.setattr(kind, name, fail_later)
        answer = await ask(api, simulator, path, session)
    assert (answer.status, answer.code) == (503, 50300)
    assert len([one for one in caplog.messages if one.startswith("redis: ")]) == 1
    assert (await ask(api, simulator, path, session)).status == 200


@pytest.mark.parametrize("patched", ["service.sql.sqlite._Asked.of", "service.sql.users.UserRows"])
async def test_a_bug_in_what_the_database_is_asked_is_logged_with_its_place(
    api: Api,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    patched: str,
) -> None:
    """It is a 503: a connection to a database that dies raises such things as well."""
    with monkeypatch.context() as patch:
        patch.setattr(patched, fail)
        assert (await api.login(await simulator.code())).code == 50301
    [record] = [one for one in caplog.records if one.exc_info or one.exc_text]
    assert "TypeError: a bug at test_own_bugs.py" in (record.exc_text or "")
    assert (await api.login(await simulator.code())).status == 200
