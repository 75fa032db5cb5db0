"""The machine it runs on: its port, its time, its processors."""

from __future__ import annotations

import asyncio
import errno
import os
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from service.cli.doctor.findings import Check, Finding, note, ok, warning, wrong
from service.cli.language import Text
from service.port_check import PortTaken, refuse_taken_port

if TYPE_CHECKING:
    from service.config.settings import Settings

_OURS: Final = b'{"status":"live"}'
_ANSWER_SECONDS: Final = 2
_MOST_BYTES: Final = 4096
_OLDEST_YEAR: Final = 2026
"""When this was written: no clock that is right is before it."""

_FREE: Final = Text("{port} is free", "{port} 空闲")
_SERVING: Final = Text("MiniGate answers on {port}", "{port} 上是正在运行的 MiniGate")
_TAKEN: Final = Text("{port} is taken by something else", "{port} 被其他程序占用")
_OTHER_PORT: Final = Text(
    "stop what listens there (ss -ltnp), or set PORT", "停掉占用端口的程序（ss -ltnp），或修改 PORT"
)
_NO_ADDRESS: Final = Text("cannot listen: {why}", "无法监听：{why}")
_OTHER_HOST: Final = Text(
    "HOST has to be an address of this machine, PORT above 1023 for a user who is not root",
    "HOST 必须是本机地址；非 root 用户的 PORT 需大于 1023",
)
_TIME: Final = Text("{time}, {zone}", "{time}，{zone}")
_WRONG_YEAR: Final = Text("this machine's clock says {time}", "本机时间为 {time}")
_SET_IT: Final = Text(
    "set it by NTP (chrony, systemd-timesyncd)", "用 NTP 校准（chrony、systemd-timesyncd）"
)
_WORKERS: Final = Text("{workers} workers, {cores} cores", "{workers} 个 worker，{cores} 个核")
_MORE_WORKERS: Final = Text(
    "WEB_CONCURRENCY={cores} uses them all", "WEB_CONCURRENCY={cores} 可用满"
)
_FEWER_WORKERS: Final = Text(
    "set WEB_CONCURRENCY to {cores}: more of them only take turns",
    "将 WEB_CONCURRENCY 设为 {cores}：更多的 worker 只会互相等待",
)


def machine_checks(settings: Settings) -> list[Check]:
    """None of them asks another machine."""
    return [
        Check("port", Text("Port", "端口"), partial(_port, settings)),
        Check("time", Text("Clock", "时钟"), _time),
        Check("workers", Text("Workers", "Worker"), partial(_workers, settings)),
    ]


async def _port(settings: Settings) -> list[Finding]:
    try:
        refuse_taken_port(settings.address, settings.port, variable="PORT")
    except PortTaken as taken:
        if await _is_ours(settings):
            return [ok(_SERVING, port=settings.port)]
        if isinstance(taken.__cause__, OSError) and taken.__cause__.errno == errno.EADDRINUSE:
            return [wrong(_TAKEN, _OTHER_PORT, port=settings.port)]
        return [wrong(_NO_ADDRESS, _OTHER_HOST, why=str(taken))]
    return [ok(_FREE, port=settings.port)]


async def _is_ours(settings: Settings) -> bool:
    """Whether what listens there is a MiniGate."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.address, settings.address)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(host, settings.port)
            try:
                writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return _OURS in await reader.read(_MOST_BYTES)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def _time() -> list[Finding]:
    now = datetime.now().astimezone()
    shown = now.isoformat(" ", "seconds")
    if now.year < _OLDEST_YEAR:
        return [wrong(_WRONG_YEAR, _SET_IT, time=shown)]
    return [ok(_TIME, time=shown, zone=now.tzname() or "UTC")]


async def _workers(settings: Settings) -> list[Finding]:
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    workers = settings.web_concurrency
    values = {"workers": workers, "cores": cores}
    if workers > 2 * cores:
        return [warning(_WORKERS, _FEWER_WORKERS, **values)]
    if workers < cores and settings.production:
        return [note(_WORKERS, _MORE_WORKERS, **values)]
    return [ok(_WORKERS, **values)]
