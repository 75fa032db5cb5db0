"""Redis: whether it answers, keeps sessions, and may do what it is for."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from service.cli.doctor.findings import (
    Check,
    Finding,
    median_ms,
    ok,
    skew,
    warning,
    wrong,
)
from service.cli.doctor.redis_faults import (
    CURES,
    MayNotLook,
    command_of,
    fault_of,
    may_not_look,
    place_of,
)
from service.cli.doctor.redis_rights import CAN_DO_WITHOUT, key_at, missing_rights
from service.cli.doctor.redis_storage import memory, persistence
from service.cli.language import Text
from service.redis.errors import FAULTS, code_word

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.config.settings import Settings
    from service.redis.client import RedisClient
    from service.redis.node import Node

_OLDEST: Final = (6, 2)
_SLOW_MS: Final = 5.0
_READS: Final = 21
_ANSWERS: Final = Text("{version}, {ms} ms", "{version}，{ms} 毫秒")
_UNKNOWN_VERSION: Final = Text("version unknown, {ms} ms", "版本未知，{ms} 毫秒")
_TOO_OLD: Final = Text("version {version} is too old", "版本 {version} 过旧")
_UPGRADE: Final = Text("upgrade to Redis 6.2 or newer", "升级到 Redis 6.2 或更新版本")
_SLOW: Final = Text("a read takes {ms} ms", "一次读取需要 {ms} 毫秒")
_NEARER: Final = Text(
    "each check of a session takes so long: bring Redis nearer, or see what else loads it",
    "每次检查会话都要这么久：把 Redis 放到同一可用区，或查看它的负载",
)
_RIGHTS_FINE: Final = Text("all {count} commands", "全部 {count} 个命令可用")
_RIGHTS: Final = Text("this user of Redis may not: {missing}", "此 Redis 用户缺少权限：{missing}")
_GRANT: Final = Text(
    "ACL SETUSER <user> {missing}, and in the ACL file; config/redis-acl.conf has the whole line",
    "执行 ACL SETUSER <user> {missing}，并写入 ACL 文件；完整的一行见 config/redis-acl.conf",
)
_REPLICAS_FINE: Final = Text(
    "{count} replicas, {needed} have to confirm", "{count} 个副本，需 {needed} 个确认"
)
_TOO_FEW: Final = Text(
    "{count} replicas, and SESSION_CONFIRM_REPLICAS={needed}: logins get 50300",
    "只有 {count} 个副本，而 SESSION_CONFIRM_REPLICAS={needed}：登录会得到 50300",
)
_ADD_REPLICAS: Final = Text(
    "start the replicas, or lower SESSION_CONFIRM_REPLICAS",
    "启动副本，或减小 SESSION_CONFIRM_REPLICAS",
)
_NONE_TO_SPARE: Final = Text(
    "{count} replicas, and all have to confirm: without one of them logins get 50300",
    "共 {count} 个副本且全部都要确认：缺一个登录就会得到 50300",
)
_ONE_MORE: Final = Text("add one more replica", "再增加一个副本")
_PART: Final = Text("not all slots of the cluster are served", "集群有槽位无人服务")


def redis_checks(client: RedisClient, settings: Settings) -> list[Check]:
    """In the order in which they make sense; the first one decides whether the others do."""
    return [
        Check("redis", Text("Redis", "Redis"), partial(_reach, client, settings)),
        Check("redis-clock", Text("Redis clock", "Redis 时钟"), partial(_of_each, client, _clock)),
        Check(
            "redis-memory", Text("Redis memory", "Redis 内存"), partial(_of_each, client, memory)
        ),
        Check(
            "redis-persistence",
            Text("Redis persistence", "Redis 持久化"),
            partial(_of_each, client, persistence),
        ),
        Check(
            "redis-rights",
            Text("Redis permissions", "Redis 权限"),
            partial(_rights, client, settings),
        ),
        Check(
            "redis-replicas",
            Text("Redis replicas", "Redis 副本"),
            partial(_of_each, client, partial(_replicas, client.replicas)),
        ),
    ]


async def _reach(client: RedisClient, settings: Settings) -> list[Finding]:
    place = place_of(settings)
    try:
        await client.topology.find_node(client.prefix)
        found = []
        for node in client.topology.nodes():
            found += await _version_and_pace(node, client)
    except FAULTS as fault:
        return [fault_of(fault, place)]
    return found


async def _version_and_pace(node: Node, client: RedisClient) -> list[Finding]:
    version = await _version(node)
    key = key_at(client, node)
    ms = round(await median_ms(lambda: _read(node, key), times=_READS), 2)
    if version and _numbers(version) < _OLDEST:
        found = [wrong(_TOO_OLD, _UPGRADE, version=version)]
    else:
        found = [ok(_ANSWERS if version else _UNKNOWN_VERSION, version=version, ms=ms)]
    if ms > _SLOW_MS:
        found.append(warning(_SLOW, _NEARER, ms=ms))
    if node.in_cluster and not all(await node.cluster_health()):
        found.append(wrong(_PART, CURES["CLUSTERDOWN"]))
    return found


async def _read(node: Node, key: str) -> None:
    """One read; a user who may not is told so with the other rights."""
    try:
        await node.get(key)
    except FAULTS as fault:
        if code_word(fault) != "NOPERM":
            raise


async def _version(node: Node) -> str:
    """What it says of itself, or "" where it does not. Any user may say HELLO."""
    try:
        reply = await node.execute("HELLO")
    except FAULTS as fault:
        if code_word(fault) in {"NOPERM", "ERR"}:  # a proxy, maybe
            return ""
        raise
    said = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=False))
    version = said.get(b"version", b"")
    return version.decode() if isinstance(version, bytes) else ""


async def _clock(node: Node) -> list[Finding]:
    sent = time.time()
    seconds, microseconds = await node.execute("TIME")
    return [skew(int(seconds) + int(microseconds) / 1e6, sent=sent, received=time.time())]


async def _rights(client: RedisClient, settings: Settings) -> list[Finding]:
    try:
        tried, missing = await missing_rights(client, settings)
    except FAULTS as fault:
        return [fault_of(fault, place_of(settings))]
    if missing and CAN_DO_WITHOUT.issuperset(missing):
        return [warning(_RIGHTS, _GRANT, missing=" ".join(missing))]
    if missing:
        return [wrong(_RIGHTS, _GRANT, missing=" ".join(missing))]
    return [ok(_RIGHTS_FINE, count=tried)]


async def _replicas(needed: int, node: Node) -> list[Finding]:
    count = await node.replicas()
    if count < needed:
        return [wrong(_TOO_FEW, _ADD_REPLICAS, count=count, needed=needed)]
    if needed and count == needed:
        return [warning(_NONE_TO_SPARE, _ONE_MORE, count=count)]
    return [ok(_REPLICAS_FINE, count=count, needed=needed)]


async def _of_each(
    client: RedisClient, look: Callable[[Node], Awaitable[list[Finding]]]
) -> list[Finding]:
    """What a look at each server finds, the same things once."""
    found: list[Finding] = []
    for node in client.topology.nodes():
        try:
            seen = await look(node)
        except MayNotLook as refused:
            seen = [may_not_look(str(refused))]
        except FAULTS as fault:
            if code_word(fault) == "NOPERM":
                seen = [may_not_look(command_of(fault))]
            else:
                seen = [fault_of(fault, "Redis")]
        found += [one for one in seen if one not in found]
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
