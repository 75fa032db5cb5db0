"""What Redis does with what it holds: when it is full, and when it restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.cli.doctor.findings import Finding, note, ok, warning, wrong
from service.cli.doctor.redis_faults import MayNotLook, may_not_look
from service.cli.language import Text
from service.redis.errors import FAULTS, code_word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.redis.node import Node

_NEARLY_FULL: Final = 0.9
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


async def memory(node: Node) -> list[Finding]:
    """Whether a full one would throw sessions away, and how full it is. Raises MayNotLook."""
    info = await _info(node, "memory")
    policy = info.get("maxmemory_policy", "")
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if not policy:
        found = [may_not_look("INFO memory")]
    elif policy.startswith("allkeys"):
        found = [wrong(_EVICTS, _SET_POLICY, policy=policy)]
    elif policy in {"noeviction", "volatile-ttl"}:
        found = [ok(_POLICY_FINE, policy=policy)]
    else:
        found = [warning(_EVICTS_ANY, _SET_POLICY, policy=policy)]
    if limit and used / limit > _NEARLY_FULL:
        found.append(warning(_FULL, _MORE_MEMORY, percent=100 * used // limit))
    return found


async def persistence(node: Node) -> list[Finding]:
    """Whether sessions outlive a restart of Redis. Raises MayNotLook."""
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
        return [may_not_look("CONFIG GET save")]
    saved = [*(reply.values() if isinstance(reply, dict) else reply[1::2])]
    if saved and saved[0]:
        return [ok(_KEPT, how=f"save {saved[0].decode()}")]
    return [note(_NOT_KEPT, _KEEP)]


async def _info(node: Node, section: str) -> Mapping[str, str]:
    try:
        reply = await node.execute("INFO", section)
    except FAULTS as fault:
        if code_word(fault) == "NOPERM":
            raise MayNotLook(f"INFO {section}") from None
        raise
    lines = (line.partition(":") for line in reply.decode().splitlines())
    return {name: value for name, _, value in lines}
