"""Starts what is not configured: Redis, WeChat, a database. Development only."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
from pydantic import SecretStr

from service.config.settings import AdminToken
from service.dev.embedded_redis import EmbeddedRedisError, embedded_redis
from service.dev.environment import stand_in_environment
from service.port_check import refuse_taken_port
from service.private_files import make_private
from service.wiring import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.config.settings import Settings
    from service.dev.embedded_redis import EmbeddedRedis

VAR: Final = Path("var")
_SIMULATED_APPID: Final = "wx5a11ab1e0c0ffee0"
_PATIENCE_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.03


class StandInError(Exception):
    """A stand-in did not start; the text says what to do."""


@contextmanager
def stand_ins(settings: Settings) -> Iterator[tuple[Settings, str]]:
    """Start what `settings` leave open, and stop it again.

    Yields the settings filled in, and a text that says where everything is.
    What is configured is used as configured: nothing is ever replaced.
    """
    with ExitStack() as stack:
        filled: dict[str, object] = {}
        redis, redis_pid = "as REDIS_URL says", None
        if settings.redis_url is None:
            server = stack.enter_context(_redis())
            filled["redis_url"] = SecretStr(server.url)
            redis, redis_pid = f"embedded {server.kind}, forgets all when it stops", server.pid
        wechat = (
            settings.wechat_api_base[0]
            if settings.apps
            else f"simulator, {_simulator_url(settings)}"
        )
        if not settings.apps:
            secret = secrets.token_hex(16)
            # After Redis, and so ended before it: it lets a Redis go on that it has stopped.
            stack.enter_context(_simulator(settings, secret, redis_pid))
            filled["wechat_appid"] = _SIMULATED_APPID
            filled["wechat_secret"] = SecretStr(secret)
            filled["wechat_api_base"] = (_simulator_url(settings),)
        database = "as DATABASE_URL says"
        if settings.database_url is None:
            filled["database_url"] = SecretStr(f"sqlite:///{_kept('minigate.db')}")
            database = f"SQLite, {VAR / 'minigate.db'}"
        if not settings.secret_keys:
            filled["secret_keys"] = (SecretStr(_kept_secret(_kept("secret_key"))),)
        admin = "one of ADMIN_TOKENS"
        if not settings.admin_tokens:
            path = _kept("admin_token")
            token = _kept_secret(path)
            filled["admin_tokens"] = (AdminToken(name="dev", secret=SecretStr(token)),)
            # What is no terminal may be a log, which others read and which is kept.
            admin = token if sys.stdout.isatty() else f"in {path}"
        if "wechat_secret" in filled:
            _wait_for(_simulator_url(settings), "the WeChat simulator")
        complete = settings.model_copy(update=filled)
        _migrate(complete)
        yield complete, _banner(settings, wechat, redis, database, admin)


def announce(settings: Settings, banner: str) -> None:
    """Print `banner` as soon as the service answers."""

    def wait_and_print() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # for the main thread
        with suppress(StandInError):
            _wait_for(f"{_service_url(settings)}/readyz", "the service")
            print(banner, flush=True)  # noqa: T201 # this is for the person at the terminal

    threading.Thread(target=wait_and_print, daemon=True).start()


def _simulator_url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.simulator_port}"


def _service_url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.port}"


@contextmanager
def _redis() -> Iterator[EmbeddedRedis]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(embedded_redis())
        except EmbeddedRedisError as fault:
            raise StandInError(str(fault)) from fault
        yield server


@contextmanager
def _simulator(settings: Settings, secret: str, redis_pid: int | None) -> Iterator[None]:
    refuse_taken_port("127.0.0.1", settings.simulator_port, variable="SIMULATOR_PORT")
    apps = [{"appid": _SIMULATED_APPID, "secret": secret}]
    own = {name: value for name, value in os.environ.items() if name.startswith("SIMULATOR_")}
    environment = {
        **stand_in_environment(),
        **own,
        "SIMULATOR_PORT": str(settings.simulator_port),
        "SIMULATOR_APPS": orjson.dumps(apps).decode(),
        "SIMULATOR_REDIS_PID": "" if redis_pid is None else str(redis_pid),
    }
    # A session of its own: Ctrl-C reaches the service first, which then stops this.
    process = subprocess.Popen(  # our own module
        [sys.executable, "-m", "service.simulator"], env=environment, start_new_session=True
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _kept(name: str) -> Path:
    """A file in VAR, which is made if need be."""
    VAR.mkdir(exist_ok=True)
    make_private(VAR)
    return VAR / name


def _kept_secret(path: Path) -> str:
    """A secret made on first use and kept, so that what it opens outlives a restart."""
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    make_private(path)
    return path.read_text().strip()


def _wait_for(url: str, what: str) -> None:
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up:
        with suppress(OSError), urllib.request.urlopen(url, timeout=1):  # noqa: S310 # http, ours
            return
        time.sleep(_POLL_SECONDS)
    raise StandInError(f"{what} did not answer at {url} within {_PATIENCE_SECONDS:.0f} s")


def _migrate(settings: Settings) -> None:
    try:
        asyncio.run(migrate(settings))
    except Exception as fault:
        raise StandInError(f"the user database cannot be brought up to date: {fault}") from fault


def _banner(settings: Settings, wechat: str, redis: str, database: str, admin: str) -> str:
    service, simulator = _service_url(settings), _simulator_url(settings)
    here = "" if settings.host else "; this machine only, HOST=0.0.0.0 opens it to your network"
    login = f"""-d "$(curl -s {simulator}/sim/login -d '{{"user": "alice"}}')\"; echo"""
    tour = "" if settings.apps else f"\n  Log in:  curl -s {service}/login {login}\n"
    return f"""
  MiniGate is ready.  Ctrl-C stops it.

  Try it in a browser:  {service}/

  service  {service}{here}
  WeChat   {wechat}
  Redis    {redis}
  users    {database}
  admin    {service}/admin, with the token {admin}
{tour}"""
