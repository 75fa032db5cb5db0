"""The recipes of docs/operate.md, each done with the commands that stand there."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp
import pytest
from PIL import Image
from pydantic import SecretStr

from service.simulator.app import create_app as create_simulator
from service.simulator.settings import AppEntry, SimulatorSettings
from service.simulator.state.world import App
from tests.e2e.blocks import blocks, without_comments
from tests.support.postgres import PROGRAMS
from tests.support.process import (
    LINUX_ONLY,
    REPOSITORY,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
)
from tests.support.running import Api, Simulator, running
from tests.support.settings import APP_SECRET, APPID, SECRET_KEY
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.postgres import Postgres

pytestmark = [LINUX_ONLY, pytest.mark.timeout(180)]  # they start a service several times

PAGE, CHINESE = "docs/operate.md", "docs/operate.zh-CN.md"
BIN: Final = Path(sys.executable).parent
NEW_SECRET: Final = "app-secret-canary-of-today-91b3d75e"
NEW_KEY: Final = "secret-key-canary-of-today-2f7c9a4e61d8"


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest.mark.parametrize("language", ["sh", "ini"])
def test_both_languages_have_the_same_blocks(language: str) -> None:
    english, chinese = (
        [without_comments(block, "#") for block in blocks(page, language)]
        for page in (PAGE, CHINESE)
    )
    assert english == chinese
    assert english


def recipe(*words: str, without: str | None = None) -> str:
    """The one block of the page in which all these words stand, and `without` does not."""
    [found] = [
        block
        for block in blocks(PAGE, "sh")
        if all(word in block for word in words) and (without is None or without not in block)
    ]
    return found


async def shell(commands: str, home: Path, **variables: str) -> tuple[int, str]:
    """Run a block in the service's folder; returns its exit code and all that was said."""
    path = os.pathsep.join([str(BIN), str(PROGRAMS), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-ec",
        commands,
        cwd=home,
        env={"PATH": path, "PYTHONPATH": str(REPOSITORY), "LC_ALL": "C.UTF-8", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def done(commands: str, home: Path, **variables: str) -> None:
    code, said = await shell(commands, home, **variables)
    assert code == 0, said


@asynccontextmanager
async def serving(
    environment: dict[str, str], home: Path, command: Sequence[str] | None = None
) -> AsyncIterator[tuple[ServiceProcess, Api]]:
    start = (sys.executable, "-m", "service") if command is None else command
    async with (
        ServiceProcess(environment, home=home, command=start) as process,
        aiohttp.ClientSession() as http,
    ):
        await process.ready()
        yield process, Api(process.url, http)


async def with_a_life(api: Api, simulator: Simulator) -> dict[str, object]:
    """A user with a number and a picture; returns what they see of themselves."""
    both = {
        "code": (await simulator.phone("alice", phone="13800000001"))["code"],
        "loginCode": await simulator.code("alice"),
    }
    login = await api.ask("POST", "/login/phone", json=both)
    assert login.status == 200, login.body
    session = {"sessionid": login.data["sessionid"]}
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "PNG")
    form = aiohttp.FormData()
    form.add_field("file", picture.getvalue(), filename="a.png", content_type="image/png")
    me = await api.ask("POST", "/me/avatar", data=form, headers=session)
    assert me.status == 200, me.body
    return {**me.data, "sessionid": login.data["sessionid"]}


async def look_back(api: Api, simulator: Simulator, before: dict[str, object]) -> None:
    """The same user, number and picture; and no session from before."""
    dead = await api.session(str(before["sessionid"]))
    assert (dead.status, dead.code) == (401, 40102)
    login = await api.login(await simulator.code("alice"))
    assert login.status == 200, login.body
    assert login.data["isNewUser"] is False
    me = await api.ask("GET", "/me", headers={"sessionid": login.data["sessionid"]})
    assert [me.data[name] for name in ("id", "phone", "avatar", "nickname")] == [
        before[name] for name in ("id", "phone", "avatar", "nickname")
    ]
    assert (await api.ask("GET", str(me.data["avatar"]))).status == 200


def settings_file(home: Path, environment: dict[str, str]) -> None:
    lines = [f"{name}='{value}'" for name, value in environment.items()]
    (home / ".env").write_text("\n".join(lines) + "\n")


async def test_what_was_in_postgresql_comes_back(
    redis: RedisServer, simulator: Simulator, postgres: Postgres, tmp_path: Path
) -> None:
    home, new_home = tmp_path / "machine", tmp_path / "another machine"
    home.mkdir()
    complete = complete_environment(redis=redis.url, wechat=simulator.url)
    complete["DATABASE_URL"] = lost = postgres.database()
    settings_file(home, complete)
    await done("python -m service migrate", home)
    async with serving({}, home) as (_, api):
        before = await with_a_life(api, simulator)
        await done(recipe("mkdir -p backup") + recipe("pg_dump"), home, DATABASE_URL=lost)
        late = await api.login(await simulator.code("after the backup"))
        assert late.status == 200

    new_home.mkdir()
    shutil.move(home / "backup", new_home / "backup")
    complete["DATABASE_URL"] = found = postgres.database()
    settings_file(new_home, complete)
    await done(recipe("pg_restore"), new_home, DATABASE_URL=found)
    others = {"SECRET_KEYS": NEW_KEY}
    code, said = await shell("python -m service migrate", new_home, **others)
    assert code == 1
    assert "open under none of SECRET_KEYS" in said
    await done(recipe("cp -R backup/uploads"), new_home)
    async with serving({}, new_home) as (_, api):
        await look_back(api, simulator, before)
        again = await api.login(await simulator.code("after the backup"))
        assert again.data["isNewUser"] is True


async def test_what_was_in_sqlite_comes_back_from_a_copy_made_while_it_was_written(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    home, new_home = tmp_path / "machine", tmp_path / "another machine"
    home.mkdir()
    complete = complete_environment(redis=redis.url, wechat=simulator.url)
    settings_file(home, complete)
    await done("python -m service migrate", home)
    users: list[str] = []

    async def log_in_for_ever() -> None:
        while True:
            name = f"user {len(users)}"
            assert (await api.login(await simulator.code(name))).status == 200
            users.append(name)

    async with serving({}, home) as (_, api):
        before = await with_a_life(api, simulator)
        writing = asyncio.create_task(log_in_for_ever())
        await eventually(lambda: len(users) > 5, within=20, what="users come")
        known = len(users)
        await done(recipe("mkdir -p backup") + recipe(".backup("), home)
        while len(users) < known + 5:
            await asyncio.sleep(0.01)
            assert not writing.done()  # nobody was refused meanwhile
        writing.cancel()

    new_home.mkdir()
    shutil.move(home / "backup", new_home / "backup")
    settings_file(new_home, complete)
    (new_home / "users.db").write_text("what was broken")
    (new_home / "users.db-wal").write_text("and more of it")
    await done(recipe("cp backup/users.db") + recipe("cp -R backup/uploads"), new_home)
    assert (new_home / "users.db").stat().st_mode & 0o077 == 0
    async with serving({}, new_home) as (_, api):
        await look_back(api, simulator, before)
        for name in users[:known]:
            login = await api.login(await simulator.code(name))
            assert login.data["isNewUser"] is False, name


async def test_everybody_is_logged_out_by_one_line(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    settings_file(tmp_path, complete_environment(redis=redis.url, wechat=simulator.url))
    await done("python -m service migrate", tmp_path)
    sessions = []
    async with serving({}, tmp_path) as (_, api):
        for name in ("alice", "bob"):
            login = await api.login(await simulator.code(name), key=name)
            sessions.append(login.data["sessionid"])
        await asyncio.sleep(1)  # to the next second: that is how exact it is
    line, _ = recipe("SESSIONS_SINCE", "kill -HUP").splitlines()
    await done(f"{line}\n{line}", tmp_path)  # as if it had been done before
    assert (tmp_path / ".env").read_text().count("SESSIONS_SINCE") == 1
    async with serving({}, tmp_path) as (_, api):
        for sessionid in sessions:
            refused = await api.session(sessionid)
            assert (refused.status, refused.code) == (401, 40102)
            verdict = await api.ask("GET", "/verify", headers={"sessionid": sessionid})
            assert verdict.status == 401
            assert 'error="session_expired"' in verdict.headers["WWW-Authenticate"]
        login = await api.login(await simulator.code("alice"))
        assert login.data["sessionid"] not in sessions
        assert login.data["isNewUser"] is False
        assert (await api.session(login.data["sessionid"])).status == 200


async def test_everybody_is_logged_out_by_one_command_and_without_a_restart(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    settings_file(tmp_path, complete_environment(redis=redis.url, wechat=simulator.url))
    await done("python -m service migrate", tmp_path)
    async with serving({"WEB_CONCURRENCY": "2"}, tmp_path) as (process, api):
        before = process.workers
        sessionid = (await api.login(await simulator.code())).data["sessionid"]
        assert (await api.session(sessionid)).status == 200
        await done(recipe("sessions end"), tmp_path)
        watch = Stopwatch()
        refused = 0
        while refused < 20:  # in a row: by either worker
            refused = refused + 1 if (await api.session(sessionid)).status == 401 else 0
            assert not watch.exceeds(10)
        assert (await api.session(sessionid)).code == 40102
        login = await api.login(await simulator.code())
        assert (await api.session(login.data["sessionid"])).status == 200
        assert process.workers == before


async def moved(home: Path, block: str, process: ServiceProcess, **variables: str) -> None:
    """Do a recipe for moving Redis, and wait for the line that says that it worked."""
    (home / "minigate.pid").write_text(str(process.pid))
    await done(block, home, **variables)
    said = "SIGHUP: all workers are restarted"
    await eventually(lambda: said in process.output, within=60, what="it worked")


async def test_redis_is_moved_to_an_empty_one(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    settings_file(tmp_path, complete_environment(redis=redis.url, wechat=simulator.url))
    await done("python -m service migrate", tmp_path)
    block = recipe("REDIS_URL=", without="REPLICAOF")
    async with RedisServer() as new, serving({}, tmp_path) as (process, api):
        sessionid = (await api.login(await simulator.code())).data["sessionid"]
        await moved(tmp_path, block, process, NEW_REDIS_URL=new.url)
        redis.kill()
        refused = await api.session(sessionid)
        assert (refused.status, refused.code) == (401, 40102)
        login = await api.login(await simulator.code())
        assert login.data["isNewUser"] is False
        assert (await api.session(login.data["sessionid"])).status == 200


async def test_redis_is_moved_with_its_sessions(simulator: Simulator, tmp_path: Path) -> None:
    async with RedisServer(tcp=True) as old, RedisServer(tcp=True) as new:
        settings_file(tmp_path, complete_environment(redis=old.url, wechat=simulator.url))
        await done("python -m service migrate", tmp_path)
        async with serving({"WEB_CONCURRENCY": "2"}, tmp_path) as (process, api):
            sessionid = (await api.login(await simulator.code())).data["sessionid"]
            place = urlsplit(old.url)
            await moved(
                tmp_path,
                recipe("REPLICAOF"),
                process,
                NEW_REDIS_URL=new.url,
                OLD_HOST=str(place.hostname),
                OLD_PORT=str(place.port),
            )
            old.kill()
            assert (await api.session(sessionid)).status == 200
            login = await api.login(await simulator.code("bob"))
            assert (await api.session(login.data["sessionid"])).status == 200


async def test_a_redis_that_is_a_replica_still_is_not_taken(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with RedisServer(tcp=True) as old, RedisServer(tcp=True) as new:
        settings_file(tmp_path, complete_environment(redis=old.url, wechat=simulator.url))
        await done("python -m service migrate", tmp_path)
        too_early = recipe("REPLICAOF").replace(
            'redis-cli -u "$NEW_REDIS_URL" REPLICAOF NO ONE\n', ""
        )
        assert "NO ONE" not in too_early
        async with serving({}, tmp_path) as (process, api):
            (tmp_path / "minigate.pid").write_text(str(process.pid))
            before = process.workers
            place = urlsplit(old.url)
            await done(
                too_early,
                tmp_path,
                NEW_REDIS_URL=new.url,
                OLD_HOST=str(place.hostname),
                OLD_PORT=str(place.port),
            )
            await eventually(
                lambda: "the others stay as they are" in process.output,
                within=60,
                what="it is told",
            )
            assert before <= process.workers
            assert (await api.login(await simulator.code())).status == 200


async def test_under_honcho_the_environment_wins_over_dotenv(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    shutil.copy(REPOSITORY / "Procfile", tmp_path)
    complete = complete_environment(redis=redis.url, wechat=simulator.url)
    settings_file(tmp_path, {**complete, "WECHAT_SECRET": "a stale one", "PORT": "1"})
    await done("python -m service migrate", tmp_path)
    words = recipe("honcho").split()
    assert words[-3:] == ["-p", "8000", "web"]
    environment = {
        "WECHAT_SECRET": APP_SECRET,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    honcho = [str(BIN / "honcho"), *words[1:-3], "web"]  # and PORT of the environment
    async with serving(environment, tmp_path, honcho) as (process, api):
        assert (await api.login(await simulator.code())).status == 200
        process.signal(signal.SIGTERM)
        await process.ended(within=15)


class Console:
    """WeChat's console, where an AppSecret is reset: the old one is dead at once."""

    def __init__(self) -> None:
        entry = AppEntry(appid=APPID, secret=SecretStr(APP_SECRET))
        self.app = create_simulator(
            settings=SimulatorSettings(apps=(entry,), minute_quota=1_000_000)
        )

    def reset_secret(self, secret: str) -> None:
        self.app.ctx.world.apps[APPID] = App(APPID, secret)


async def restarted(process: ServiceProcess, before: set[int]) -> None:
    """Wait until every worker is another one than before."""
    watch = Stopwatch()
    while not process.workers or process.workers & before:
        assert not watch.exceeds(30), process.output
        await asyncio.sleep(0.1)


@pytest.mark.bar("E5")
async def test_an_appsecret_is_changed_without_a_stop(redis: RedisServer, tmp_path: Path) -> None:
    console = Console()
    async with running(console.app) as url, aiohttp.ClientSession() as http:
        simulator = Simulator(url, http)
        complete = complete_environment(redis=redis.url, wechat=url)
        del complete["WECHAT_SECRET"]
        (tmp_path / "appsecret").write_text(APP_SECRET)
        environment = {**complete, "WECHAT_SECRET_FILE": "appsecret", "WEB_CONCURRENCY": "2"}
        await done("python -m service migrate", tmp_path, **environment)
        async with serving(environment, tmp_path) as (process, api):
            (tmp_path / "minigate.pid").write_text(str(process.pid))
            sessionid = (await api.login(await simulator.code())).data["sessionid"]
            before = process.workers
            console.reset_secret(NEW_SECRET)
            assert (await api.login(await simulator.code("bob"))).code == 50310

            statuses: list[tuple[int, int]] = []

            async def use() -> None:
                number = 0
                while True:
                    number += 1
                    login = await api.login(await simulator.code(f"user {number}"))
                    check = await api.session(sessionid)
                    statuses.append((login.status, check.status))
                    await asyncio.sleep(0.1)

            using = asyncio.create_task(use())
            await done(recipe("appsecret.new"), tmp_path, NEW_SECRET=NEW_SECRET)
            await restarted(process, before)
            meanwhile = len(statuses)
            while len(statuses) < meanwhile + 20:
                await asyncio.sleep(0.05)
                assert not using.done(), using.exception()
            using.cancel()
    assert {check for _, check in statuses} == {200}
    # One that was under way as the last new worker came may have been the old one's.
    assert sum(login != 200 for login, _ in statuses[meanwhile:]) <= 1


async def test_settings_that_cannot_be_used_change_nothing(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    settings_file(tmp_path, complete_environment(redis=redis.url, wechat=simulator.url))
    await done("python -m service migrate", tmp_path)
    async with serving({}, tmp_path) as (process, api):
        before = process.workers
        with (tmp_path / ".env").open("a") as file:
            file.write("SECRET_KEYS=short-canary\n")
        process.signal(signal.SIGHUP)
        await eventually(lambda: "SECRET_KEYS" in process.output, within=10, what="it is told")
        assert "short-canary" not in process.output
        assert process.workers == before
        assert (await api.login(await simulator.code())).status == 200


@pytest.mark.bar("E4")
async def test_secret_keys_are_changed_without_a_logout(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    complete = complete_environment(redis=redis.url, wechat=simulator.url)
    del complete["SECRET_KEYS"]
    environment = {**complete, "SECRET_KEYS_FILE": "keys", "WEB_CONCURRENCY": "2"}
    keys = tmp_path / "keys"
    keys.write_text(SECRET_KEY)
    await done("python -m service migrate", tmp_path, **environment)
    async with serving(environment, tmp_path) as (process, api):
        me = await with_a_life(api, simulator)
        answers: list[int] = []

        async def check() -> None:
            while True:
                answers.append((await api.session(str(me["sessionid"]))).status)
                await asyncio.sleep(0.02)

        checking = [asyncio.create_task(check()) for _ in range(4)]
        for ring in (f"{SECRET_KEY},{NEW_KEY}", f"{NEW_KEY},{SECRET_KEY}", NEW_KEY):
            if ring == NEW_KEY:
                await done("python -m service migrate", tmp_path, **environment)
            before = process.workers
            keys.write_text(ring)
            process.signal(signal.SIGHUP)
            await restarted(process, before)
            assert (await api.login(await simulator.code("bob"))).status == 200
        for one in checking:
            assert not one.done(), one.exception()
            one.cancel()
        assert set(answers) == {200}
        seen = await api.ask("GET", "/me", headers={"sessionid": str(me["sessionid"])})
        assert seen.data["phone"] == me["phone"]
