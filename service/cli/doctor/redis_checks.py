"""Redis: whether it answers, keeps sessions, and may do what it is for."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from service.cli.doctor.findings import (
    Check,
    Finding,
    median_ms,
    note,
    ok,
    skew,
    warning,
    wrong,
)
from service.cli.doctor.redis_rights import CAN_DO_WITHOUT, key_at, missing_rights
from service.cli.language import Text
from service.config.redis_url import RedisAddress
from service.core.fault_cause import name_fault
from service.redis.errors import FAULTS, NoNode, code_word

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from service.config.settings import Settings
    from service.redis.client import RedisClient
    from service.redis.node import Node

_OLDEST: Final = (6, 2)
_SLOW_MS: Final = 5.0
_READS: Final = 21
_NEARLY_FULL: Final = 0.9

_ANSWERS: Final = Text("{version}, {ms} ms", "{version}，{ms} 毫秒")
_UNKNOWN_VERSION: Final = Text("version unknown, {ms} ms", "版本未知，{ms} 毫秒")
_AWAY: Final = Text("no answer from {place}: {why}", "{place} 没有应答：{why}")
_START_IT: Final = Text(
    "start Redis, or correct host and port in REDIS_URL; a firewall may be between",
    "启动 Redis，或修正 REDIS_URL 中的主机和端口；也可能被防火墙拦截",
)
_REFUSED: Final = Text("{place} refuses: {why}", "{place} 拒绝：{why}")
_CURES: Final = {
    "WRONGPASS": Text(
        "correct user and password in REDIS_URL; percent-encode % / ? # @ in them",
        "修正 REDIS_URL 中的用户名和密码；其中的 % / ? # @ 需百分号编码",
    ),
    "NOAUTH": Text(
        "put the password into REDIS_URL: redis://:password@host:port",
        "在 REDIS_URL 中写上密码：redis://:password@host:port",
    ),
    "NOPERM": Text(
        "give the user the line of config/redis-acl.conf",
        "按 config/redis-acl.conf 为该用户授权",
    ),
    "READONLY": Text(
        "this address is that of a replica: REDIS_URL has to lead to the primary",
        "这是副本的地址：REDIS_URL 必须指向主节点",
    ),
    "LOADING": Text("it is still loading its data: wait", "Redis 正在加载数据：请稍候"),
    "OOM": Text(
        "it is full: give it more maxmemory; until then logins fail",
        "内存已满：调大 maxmemory；在此之前无法登录",
    ),
    "MISCONF": Text(
        "it cannot write to its disk: make room there; until then logins fail",
        "无法写入磁盘：清理磁盘空间；在此之前无法登录",
    ),
    "CLUSTERDOWN": Text(
        "the cluster lacks nodes: see CLUSTER NODES, and start what is down",
        "集群缺少节点：查看 CLUSTER NODES 并启动缺失的节点",
    ),
    "NOREPLICAS": Text(
        "it has fewer replicas than its min-replicas-to-write: start them",
        "副本数少于 min-replicas-to-write：启动副本",
    ),
    "MAXCLIENTS": Text(
        "it has no connection left: raise maxclients, or lower REDIS_MAX_CONNECTIONS",
        "连接数已满：调大 maxclients，或减小 REDIS_MAX_CONNECTIONS",
    ),
}
_TOO_OLD: Final = Text("version {version} is too old", "版本 {version} 过旧")
_UPGRADE: Final = Text("upgrade to Redis 6.2 or newer", "升级到 Redis 6.2 或更新版本")
_SLOW: Final = Text("a read takes {ms} ms", "一次读取需要 {ms} 毫秒")
_NEARER: Final = Text(
    "each check of a session takes so long: bring Redis nearer, or see what else loads it",
    "每次检查会话都要这么久：把 Redis 放到同一可用区，或查看它的负载",
)
_MAY_NOT_LOOK: Final = Text("not allowed to look ({command})", "无权查看（{command}）")
_LOOK_YOURSELF: Final = Text(
    "config/redis-acl.conf allows no more than the service needs; look as another user of Redis",
    "config/redis-acl.conf 只授予服务所需的权限；请用其他 Redis 用户查看",
)
_POLICY_FINE: Final = Text("maxmemory-policy {policy}", "maxmemory-policy 为 {policy}")
_EVICTS: Final = Text(
    "maxmemory-policy is {policy}: a full Redis throws live sessions away",
    "maxmemory-policy 为 {policy}：内存满时会丢弃有效会话",
)
_SET_POLICY: Final = Text(
    "CONFIG SET maxmemory-policy noeviction (or volatile-ttl), and so in redis.conf or at the host",
    "执行 CONFIG SET maxmemory-policy noeviction（或 volatile-ttl），并写入 redis.conf 或平台设置",
)
_EVICTS_ANY: Final = Text(
    "maxmemory-policy is {policy}: a full Redis throws sessions away that have long to live",
    "maxmemory-policy 为 {policy}：内存满时会丢弃离过期还早的会话",
)
_FULL: Final = Text("{percent} % of maxmemory are in use", "已使用 maxmemory 的 {percent}%")
_MORE_MEMORY: Final = Text(
    "raise maxmemory: a session takes about 0.5 KB", "调大 maxmemory：每个会话约占 0.5 KB"
)
_KEPT: Final = Text("kept on disk ({how})", "已持久化（{how}）")
_NOT_KEPT: Final = Text(
    "nothing is kept on disk: after a restart of Redis everybody logs in again, silently",
    "没有持久化：Redis 重启后所有人都会自动重新登录",
)
_KEEP: Final = Text(
    "appendonly yes in redis.conf, unless that is fine with you",
    "如不希望如此，在 redis.conf 中设置 appendonly yes",
)
_NOT_WRITTEN: Final = Text(
    "its last write to the disk failed ({what})", "最近一次写盘失败（{what}）"
)
_DISK: Final = Text("make room on its disk, and see its log", "清理其磁盘空间，并查看 Redis 日志")
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
            "redis-memory", Text("Redis memory", "Redis 内存"), partial(_of_each, client, _memory)
        ),
        Check(
            "redis-persistence",
            Text("Redis persistence", "Redis 持久化"),
            partial(_of_each, client, _persistence),
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
    place = _place(settings)
    try:
        await client.topology.find_node(client.prefix)
        found = []
        for node in client.topology.nodes():
            found += await _version_and_pace(node, client)
    except FAULTS as fault:
        return [_fault(fault, place)]
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
        found.append(wrong(_PART, _CURES["CLUSTERDOWN"]))
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


async def _memory(node: Node) -> list[Finding]:
    info = await _info(node, "memory")
    policy = info.get("maxmemory_policy", "")
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if not policy:
        found = [_may_not_look("INFO memory")]
    elif policy.startswith("allkeys"):
        found = [wrong(_EVICTS, _SET_POLICY, policy=policy)]
    elif policy in {"noeviction", "volatile-ttl"}:
        found = [ok(_POLICY_FINE, policy=policy)]
    else:
        found = [warning(_EVICTS_ANY, _SET_POLICY, policy=policy)]
    if limit and used / limit > _NEARLY_FULL:
        found.append(warning(_FULL, _MORE_MEMORY, percent=100 * used // limit))
    return found


async def _persistence(node: Node) -> list[Finding]:
    info = await _info(node, "persistence")
    failed = [
        name
        for name in ("aof_last_write_status", "rdb_last_bgsave_status")
        if info.get(name, "ok") != "ok"
    ]
    if failed:
        return [wrong(_NOT_WRITTEN, _DISK, what=", ".join(failed))]
    if info.get("aof_enabled") == "1":
        return [ok(_KEPT, how="appendonly")]
    try:
        reply = await node.execute("CONFIG", "GET", "save")
    except FAULTS as fault:
        if code_word(fault) not in {"NOPERM", "ERR"}:
            raise
        return [_may_not_look("CONFIG GET save")]
    saved = [*(reply.values() if isinstance(reply, dict) else reply[1::2])]
    if saved and saved[0]:
        return [ok(_KEPT, how=f"save {saved[0].decode()}")]
    return [note(_NOT_KEPT, _KEEP)]


async def _rights(client: RedisClient, settings: Settings) -> list[Finding]:
    try:
        tried, missing = await missing_rights(client, settings)
    except FAULTS as fault:
        return [_fault(fault, _place(settings))]
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
        except _MayNotLook as refused:
            seen = [_may_not_look(str(refused))]
        except FAULTS as fault:
            if code_word(fault) == "NOPERM":
                seen = [_may_not_look(_command_of(fault))]
            else:
                seen = [_fault(fault, "Redis")]
        found += [one for one in seen if one not in found]
    return found


class _MayNotLook(Exception):
    """The user of REDIS_URL may not ask that; the text is the command."""


async def _info(node: Node, section: str) -> Mapping[str, str]:
    try:
        reply = await node.execute("INFO", section)
    except FAULTS as fault:
        if code_word(fault) == "NOPERM":
            raise _MayNotLook(f"INFO {section}") from None
        raise
    lines = (line.partition(":") for line in reply.decode().splitlines())
    return {name: value for name, _, value in lines}


def _fault(fault: BaseException, place: str) -> Finding:
    word = code_word(fault)
    if word in _CURES:
        return wrong(_REFUSED, _CURES[word], place=place, why=word)
    cause = fault.__cause__ if isinstance(fault, NoNode) and fault.__cause__ else fault
    return wrong(_AWAY, _START_IT, place=place, why=name_fault(cause))


def _may_not_look(command: str) -> Finding:
    return note(_MAY_NOT_LOOK, _LOOK_YOURSELF, command=command)


def _command_of(fault: BaseException) -> str:
    return next((part for part in str(fault).split("'")[1:2]), "")


def _place(settings: Settings) -> str:
    """Where REDIS_URL leads, without its user and password."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    address = RedisAddress.parse(url)
    if address is not None:
        return ",".join(f"{one.host}:{one.port}" for one in address.hosts)
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname}:{parts.port or 6379}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
