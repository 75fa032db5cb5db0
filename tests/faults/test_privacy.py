"""What lies in files, in Redis and in the log tells nobody's secrets; who leaves is gone."""

from __future__ import annotations

import asyncio
import io
import re
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
import pytest
import redis.asyncio
from PIL import Image
from pydantic import SecretStr

from service.core.models import handle_of
from service.simulator.app import create_app as create_simulator
from service.simulator.settings import AppEntry, SimulatorSettings
from service.simulator.state.identities import openid_of
from tests.faults.test_wechat_faults import forms
from tests.support.keys import SESSION_PREFIX as KEY_PREFIX
from tests.support.process import (
    LINUX_ONLY,
    RedisServer,
    ServiceProcess,
    complete_environment,
)
from tests.support.running import Api, Simulator, running, running_service
from tests.support.settings import APP_SECRET, APPID, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from service.config.settings import Settings
    from tests.support.running import Answer

pytestmark = LINUX_ONLY

PHONES: Final = {"alice": "13812345601", "bob": "13887654302"}
CODE_PREFIX: Final = b"minigate:code:"
NUMBERS: Final = b"minigate:number:"
TOKEN_KEY: Final = b"minigate:access-token:" + APPID.encode()
USED_PREFIX: Final = b"minigate:used:"
EVENTS_KEY: Final = b"minigate:events"
LIVE_PREFIX: Final = b"minigate:live:"
FIVE_MINUTES: Final = 300_000
TWO_DAYS: Final = 2 * 86_400_000
INTERNAL_TOKEN: Final = "internal-token-canary-0123456789abcdef"


@dataclass
class Person:
    """A user, and what a test knows of them."""

    name: str
    session: dict[str, str] = field(default_factory=dict)
    id: str = ""
    avatar: str = ""
    nickname: str = ""

    @property
    def openid(self) -> str:
        return openid_of(appid=APPID, user=self.name)

    @property
    def handle(self) -> str:
        return handle_of(APPID, self.openid, "default")


@dataclass
class House:
    """A service in a process of its own, and everything that it leaves anywhere."""

    service: ServiceProcess
    api: Api
    simulator: Simulator
    world: Any
    redis: redis.asyncio.Redis
    home: Path
    sessionids: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    async def ask(self, method: str, path: str, status: int = 200, **how: Any) -> Answer:
        answer = await self.api.ask(method, path, **how)
        assert answer.status == status, answer.body
        self.keys |= {key.text for key in self.world.session_keys._keys.values()}
        if isinstance(answer.body, dict) and "sessionid" in (answer.data or {}):
            self.sessionids.append(answer.data["sessionid"])
        return answer

    async def live(self, name: str) -> Person:
        """Do everything that a user can do."""
        person = Person(name)
        await self._log_in(person)
        phone = await self.simulator.phone(name, phone=PHONES[name])
        body = {"loginCode": await self.simulator.code(name), "code": phone["code"]}
        headers = {"Idempotency-Key": f"key-of-{name}-{len(self.sessionids)}"}
        answer = await self.ask("POST", "/login/phone", json=body, headers=headers)
        await self.ask("POST", "/login/phone", json=body, headers=headers)
        person.id = answer.data["user"]["id"]
        person.session = {"sessionid": answer.data["sessionid"]}

        code = await self.simulator.code(name)
        profile = await self.simulator.profile(name, nickName=f"nickname of {name}", openid=True)
        await self._log_in(person, code=code, **profile)
        for sealed in (
            await self.simulator.phone(name),
            await self.simulator.profile(name, openid=True),
        ):
            await self._open(person, sealed)
        await self.simulator.rotate_key(name)
        await self._open(person, await self.simulator.phone(name), status=400)
        await self._log_in(person)
        bound = await self.simulator.phone(name)
        await self.ask("PUT", "/me/phone", json={"code": bound["code"]}, headers=person.session)
        sealed = {key: bound[key] for key in ("encryptedData", "iv")}
        await self.ask("PUT", "/me/phone", json=sealed, headers=person.session)

        person.nickname = f"the-last-name-of-{name}"
        await self.ask("PATCH", "/me", json={"nickname": person.nickname}, headers=person.session)
        answer = await self.ask("POST", "/me/avatar", data=_form(name), headers=person.session)
        person.avatar = answer.data["avatar"].rpartition("/")[2]
        assert answer.data["phone"] == f"+86 {PHONES[name]}"
        await self.ask("GET", "/me/export", headers=person.session)
        await self.ask("GET", "/session", headers=person.session)
        return person

    async def stumble(self, person: Person) -> None:
        """Do what goes wrong, which is what is logged."""
        used = await self.simulator.code(person.name)
        await self.ask("POST", "/login", json={"code": used})
        await self.ask("POST", "/login", 400, json={"code": used})
        await self.ask("POST", "/login/phone", 400, json={"code": used, "loginCode": used})
        await self.ask("GET", f"/wx/onlogin?code={used}", 400)
        await self.ask("POST", "/login", 400, json={"code": used[::-1]})
        await self.ask("PUT", "/me/phone", 401, json={"code": used}, headers=person.session)
        await self._log_in(person)
        for kind in ("reset", "html_502", "truncated_json", "redirect", "token_superseded"):
            await self.simulator.fault(kind)
            phone = await self.simulator.phone(person.name)
            body = {"loginCode": await self.simulator.code(person.name), "code": phone["code"]}
            answer = await self.api.ask("POST", "/login/phone", json=body)
            assert answer.status in {502, 503}
            await self.simulator.heal()
        await self._log_in(person)

    async def secrets(self) -> list[str]:
        """All that must be nowhere."""
        world = self.world
        return [
            *PHONES.values(),
            *self.keys,
            *(one.text for one in world.codes._codes.values()),
            *(one.text for one in world.phone_codes._codes.values()),
            *world.tokens._tokens,
            *self.sessionids,
            *(one.partition(".")[2] for one in self.sessionids),
            APP_SECRET,
            SECRET_KEY,
            INTERNAL_TOKEN,
        ]

    async def left(self) -> dict[str, bytes]:
        """Everything that lies somewhere, by place."""
        found = {path.name: path.read_bytes() for path in self.home.rglob("*") if path.is_file()}
        assert {"users.db", "users.db-wal", f"output-{self.service.port}"} <= set(found)
        found |= {f"Redis {key!r}": key + b" " + raw for key, raw in (await self.dump()).items()}
        found["Redis events"] = orjson.dumps(await self.events())
        return found

    async def dump(self) -> dict[bytes, bytes]:
        """Every key but the stream of events, with its value."""
        keys = [key async for key in self.redis.scan_iter(count=1000) if key != EVENTS_KEY]
        for key in keys:
            assert await self.redis.type(key) == b"string"
        values = await self.redis.mget(keys) if keys else []
        return dict(zip(keys, values, strict=True))

    async def events(self) -> list[dict[str, Any]]:
        """What is kept of events, the oldest first."""
        entries: Any = await self.redis.xrange(EVENTS_KEY)
        assert all(set(fields) == {b"e"} for _, fields in entries)
        return [orjson.loads(fields[b"e"]) for _, fields in entries]

    async def events_with(self, *names: str) -> list[dict[str, Any]]:
        """The same, once events of all these names are there."""
        async with asyncio.timeout(5):
            while True:
                found = await self.events()
                if set(names) <= {one["event"] for one in found}:
                    return found
                await asyncio.sleep(0.05)

    async def leaks(self) -> list[tuple[str, str]]:
        """Which secret stands where, in whatever form."""
        secrets, places = set(await self.secrets()), await self.left()
        wanted = {one: [form.encode() for form in forms(one)] for one in secrets}
        return [
            (place, secret)
            for place, content in places.items()
            for secret, shapes in wanted.items()
            if any(shape in content for shape in shapes)
        ]

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        with closing(sqlite3.connect(f"file:{self.home / 'users.db'}?mode=ro", uri=True)) as db:
            names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return {name: db.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names}  # noqa: S608 # names from its own catalogue

    async def _log_in(self, person: Person, code: str | None = None, **fields: str) -> None:
        code = code or await self.simulator.code(person.name)
        answer = await self.ask("POST", "/login", json={"code": code, **fields})
        person.session = {"sessionid": answer.data["sessionid"]}

    async def _open(self, person: Person, sealed: dict[str, str], status: int = 200) -> None:
        body = {name: sealed[name] for name in ("encryptedData", "iv")}
        await self.ask("POST", "/decrypt", status, json=body, headers=person.session)


def _form(name: str) -> aiohttp.FormData:
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "teal" if name == "alice" else "plum").save(picture, "PNG")
    form = aiohttp.FormData()
    form.add_field("avatar", picture.getvalue(), filename="x.png", content_type="image/png")
    return form


@asynccontextmanager
async def simulated() -> AsyncIterator[tuple[Simulator, Any]]:
    entry = AppEntry(appid=APPID, secret=SecretStr(APP_SECRET), platform="studio")
    settings = SimulatorSettings(
        apps=(entry,), session_key_interval_seconds=0, minute_quota=1_000_000
    )
    app = create_simulator(settings=settings)
    async with running(app) as url, aiohttp.ClientSession() as http:
        yield Simulator(url, http), app.ctx.world


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with simulated() as (simulator, world), RedisServer() as server:
        environment = complete_environment(
            redis=server.url,
            wechat=simulator.url,
            LOGIN_COALESCE_MS="0",
            LOG_LEVEL="DEBUG",
            ACCESS_LOG="true",
            INTERNAL_TOKEN=INTERNAL_TOKEN,
        )
        async with (
            ServiceProcess(environment, home=tmp_path) as service,
            redis.asyncio.Redis.from_url(server.url) as client,
        ):
            await service.ready()
            api = Api(service.url, simulator.http)
            yield House(service, api, simulator, world, client, tmp_path)


@pytest.mark.bar("E1", "E2")
async def test_no_secret_lies_open_anywhere(house: House) -> None:
    people = [await house.live(name) for name in PHONES]
    headers = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}
    told = await house.ask("GET", "/internal/access-token", headers=headers)
    assert told.data["accessToken"] in await house.secrets()
    await house.stumble(people[0])
    secrets = await house.secrets()
    print(f"{len(secrets)} secrets, {len(await house.left())} places")  # noqa: T201 # figures
    assert len(set(secrets)) > 50
    assert await house.leaks() == []
    output = house.service.output
    for word in ("login handle=", "decrypt failed: ", "errcode=40029", "errcode=40001", "DEBUG"):
        assert word in output
    assert "Traceback" not in output


EVENT_FIELDS: Final = {
    "at", "event", "user", "handle", "appid", "device", "request_id", "address", "reason",
}  # fmt: skip


@pytest.mark.bar("E1")
async def test_events_name_nobody_by_openid_number_or_nickname(house: House) -> None:
    """In Redis and in the log they have ids of ours, which mean nothing elsewhere."""
    alice, bob = [await house.live(name) for name in PHONES]
    await house.stumble(alice)
    await house.ask("DELETE", "/me", headers=bob.session)
    await house.ask("POST", "/logout", headers=alice.session)
    told = await house.events_with("logout", "login", "replaced", "phone_bound", "login_refused")
    assert {alice.id, bob.id} <= {one.get("user") for one in told}
    assert {alice.handle, bob.handle} <= {one.get("handle") for one in told}
    assert all(set(one) <= EVENT_FIELDS for one in told)
    lines = [one for one in house.service.output.splitlines() if " service.stores.events " in one]
    assert len(lines) >= len(told)
    rows = house.tables()
    unionids = {row for rows in rows["unions"] for row in rows if isinstance(row, str)}
    names = [
        *(mark for one in (alice, bob) for mark in (one.openid, one.nickname, one.avatar)),
        *("nickname of", "last-name"),
        *PHONES.values(),
        *(unionids - {alice.id, bob.id}),
        *await house.secrets(),
    ]
    kept = orjson.dumps([{**one, "at": 0, "request_id": ""} for one in told]).decode()
    for name in names:
        for form in forms(name):
            assert form not in kept, name
            assert not [line for line in lines if form in line.partition(" service.")[2]], name


@pytest.mark.bar("E1")
async def test_the_search_finds_what_is_planted_in_any_place_and_form(house: House) -> None:
    await house.live("alice")
    assert await house.leaks() == []
    secrets = [
        PHONES["alice"],
        house.sessionids[0],
        house.sessionids[-1].partition(".")[2],
        next(iter(house.keys)),
        next(iter(house.world.codes._codes)),
        next(iter(house.world.phone_codes._codes)),
        next(iter(house.world.tokens._tokens)),
        APP_SECRET,
    ]
    for secret in secrets:
        for form in forms(secret):
            planted = f"x={form}&y".encode()
            await house.redis.set("planted", planted)
            assert secret in {found for place, found in await house.leaks() if "planted" in place}
        await house.redis.delete("planted")
        await house.redis.set(f"in a key {secret}", b"")
        assert secret in {found for _, found in await house.leaks()}
        await house.redis.delete(f"in a key {secret}")
    assert await house.leaks() == []
    with closing(sqlite3.connect(house.home / "users.db")) as db, db:
        db.execute("UPDATE users SET nickname = ?", (f"it is {PHONES['alice']}",))
    assert {place for place, _ in await house.leaks()} <= {"users.db", "users.db-wal"}
    assert await house.leaks() != []
    with (house.home / f"output-{house.service.port}").open("a") as log:
        log.write(f"INFO we have {secrets[1]}\n")
    assert ("output", secrets[1]) in {(p.partition("-")[0], s) for p, s in await house.leaks()}


@pytest.mark.bar("E2")
async def test_a_phone_number_under_no_seal_is_caught(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same with the sealing taken out, in process."""
    from service.stores.keyring import Keyring  # noqa: PLC0415

    monkeypatch.setattr(Keyring, "seal", lambda _, plain, **__: plain.hex())
    monkeypatch.setattr(Keyring, "open", lambda _, sealed, **__: bytes.fromhex(sealed))
    async with simulated() as (simulator, _):
        async with running_service(settings(wechat_api_base=(simulator.url,))) as api:
            phone = await simulator.phone("alice", phone=PHONES["alice"])
            body = {"loginCode": await simulator.code(), "code": phone["code"]}
            assert (await api.ask("POST", "/login/phone", json=body)).status == 200
        files = [tmp_path / name for name in ("users.db", "users.db-wal")]
        content = b"".join(one.read_bytes() for one in files if one.exists())
    assert any(form.encode() in content for form in forms(PHONES["alice"]))


@pytest.mark.bar("E8")
async def test_who_leaves_leaves_nothing_and_takes_nothing_of_others(house: House) -> None:
    alice, bob = [await house.live(name) for name in PHONES]
    before, keys = house.tables(), await house.dump()
    assert all(
        alice.id in str(before[name]) for name in ("users", "identities", "unions", "phones")
    )
    assert {path.name for path in (house.home / "var/uploads").iterdir()} == {
        alice.avatar,
        bob.avatar,
    }
    assert (KEY_PREFIX + alice.handle).encode() in keys

    gone = await house.ask("DELETE", "/me", headers=alice.session)
    assert gone.data == {"deleted": True}

    # Rows.
    after = house.tables()
    for person, wanted in ((alice, False), (bob, True)):
        for mark in (person.id, person.openid, person.nickname):
            assert (mark in str(after)) is wanted
    for name, rows in before.items():
        assert set(after[name]) == {row for row in rows if alice.id not in row}
    # Files.
    assert [path.name for path in (house.home / "var/uploads").iterdir()] == [bob.avatar]
    await house.ask("GET", f"/uploads/{alice.avatar}", 404)
    # Keys: apart from what guards the codes against a second use, hers are gone.
    left = await house.dump()
    hers = set(keys) - set(left)
    assert (KEY_PREFIX + alice.handle).encode() in hers
    numbers = [sum(key.startswith(NUMBERS) for key in one) for one in (keys, left)]
    assert numbers == [2, 1], "her phone number goes, bob's stays"
    others = {(KEY_PREFIX + bob.handle).encode(), TOKEN_KEY}
    rest = {key for key in set(left) - others if not key.startswith(NUMBERS)}
    (gone_mark,) = (key for key in rest if key.startswith(b"minigate:gone:"))
    assert left[gone_mark] == b"deleted"
    assert 0 < await house.redis.pttl(gone_mark) <= 30_000
    assert {left[key] for key in rest if key.startswith(USED_PREFIX)} == {b"used"}
    counting = (USED_PREFIX, b"minigate:limit:", LIVE_PREFIX)
    counted = {key for key in rest if key.startswith(counting)}
    for key in counted:  # digests beside `used` or a count; HyperLogLogs, which name nobody
        assert 0 < await house.redis.pttl(key) <= TWO_DAYS
    under_key = {key for key in rest if key.startswith(b"minigate:idempotency:")}
    for key in under_key:
        assert 0 < await house.redis.pttl(key) <= 70_000
        assert re.fullmatch(rb"[\w-]{22}", left[key]), "a digest of what was asked for"
    others = rest - counted - under_key - {gone_mark, b"minigate:ended"}
    assert set(orjson.loads(left[b"minigate:ended"])) == {"at", "epoch", "ended"}
    markers = {key: orjson.loads(left[key]) for key in others}
    for key, marker in markers.items():
        assert key.startswith(CODE_PREFIX)
        assert 0 < await house.redis.pttl(key) <= FIVE_MINUTES
        assert set(marker) in MARKERS
    # The session, at once and on every route.
    for method, path in (
        ("GET", "/verify"),
        ("GET", "/me"),
        ("GET", "/session"),
        ("DELETE", "/me"),
    ):
        await house.ask(method, path, 401, headers=alice.session)
    for sessionid in house.sessionids:
        if sessionid.startswith(alice.handle):
            await house.ask("GET", "/verify", 401, headers={"sessionid": sessionid})
    # Everybody else is as before, and she comes back as somebody new.
    kept = await house.ask("GET", "/me", headers=bob.session)
    assert (kept.data["id"], kept.data["phone"]) == (bob.id, f"+86 {PHONES['bob']}")
    await house.ask("GET", f"/uploads/{bob.avatar}")
    back = await house.live("alice")
    assert back.id != alice.id
    assert await house.leaks() == []


NONCES: Final = {"n", "c", "q"}
MARKERS: Final = [
    {"n"},  # of a client that cannot repeat it
    NONCES,
    NONCES | {"at", "h", "d", "x", "u", "new"},  # an answer to be repeated: ids, no data
    NONCES | {"at", "e", "data", "wait"},
    NONCES | {"at"},  # a phone code: the number is kept elsewhere
]


async def test_no_marker_of_a_code_keeps_the_number_of_somebody_who_left(house: House) -> None:
    """Not even sealed: the key that opens it is at hand."""
    alice = await house.live("alice")
    await house.ask("DELETE", "/me", headers=alice.session)
    markers = [orjson.loads(raw) for key, raw in (await house.dump()).items() if CODE_PREFIX in key]
    assert [marker for marker in markers if "s" in marker] == []


async def test_a_login_that_meets_the_end_of_its_user_leaves_no_session_of_nobody(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user is deleted between the look at the database and the writing of the session."""
    async with (
        simulated() as (simulator, _),
        running_service(settings(wechat_api_base=(simulator.url,), login_coalesce_ms=0)) as api,
    ):
        first = await api.login(await simulator.code())
        session = {"sessionid": first.data["sessionid"]}
        sessions = api.app.ctx.services.sessions
        creating = sessions.create

        async def after_the_end(*args: Any, **kwargs: Any) -> Any:
            gone = await api.ask("DELETE", "/me", headers=session)
            assert gone.status == 200
            return await creating(*args, **kwargs)

        monkeypatch.setattr(sessions, "create", after_the_end)
        second = await api.login(await simulator.code())
        monkeypatch.undo()
        if second.status == 200:
            header = {"sessionid": second.data["sessionid"]}
            verified = await api.ask("GET", "/verify", headers=header)
            shown = await api.ask("GET", "/me", headers=header)
            assert (verified.status, shown.status) in {(200, 200), (401, 401)}
