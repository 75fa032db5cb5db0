"""Why Redis does not do what it is asked, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from service.cli.doctor.findings import Finding, note, wrong
from service.cli.language import Text
from service.config.redis_url import RedisAddress
from service.core.fault_cause import name_fault
from service.redis.errors import NoNode, code_word

if TYPE_CHECKING:
    from service.config.settings import Settings

_AWAY: Final = Text("no answer from {place}: {why}", "{place} 没有应答：{why}")
_START_IT: Final = Text(
    "start Redis, or correct host and port in REDIS_URL; a firewall may be between",
    "启动 Redis，或修正 REDIS_URL 中的主机和端口；也可能被防火墙拦截",
)
_REFUSED: Final = Text("{place} refuses: {why}", "{place} 拒绝：{why}")
CURES: Final = {
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
_MAY_NOT_LOOK: Final = Text("not allowed to look ({command})", "无权查看（{command}）")
_LOOK_YOURSELF: Final = Text(
    "config/redis-acl.conf allows no more than the service needs; look as another user of Redis",
    "config/redis-acl.conf 只授予服务所需的权限；请用其他 Redis 用户查看",
)


class MayNotLook(Exception):
    """The user of REDIS_URL may not ask that; the text is the command."""


def fault_of(fault: BaseException, place: str) -> Finding:
    """What one of FAULTS means at that place."""
    word = code_word(fault)
    if word in CURES:
        return wrong(_REFUSED, CURES[word], place=place, why=word)
    cause = fault.__cause__ if isinstance(fault, NoNode) and fault.__cause__ else fault
    return wrong(_AWAY, _START_IT, place=place, why=name_fault(cause))


def may_not_look(command: str) -> Finding:
    """That nobody can tell, because this user of Redis may not use the command."""
    return note(_MAY_NOT_LOOK, _LOOK_YOURSELF, command=command)


def command_of(fault: BaseException) -> str:
    """The command that a NOPERM names, or ""; Redis puts it in quotes."""
    return next((part for part in str(fault).split("'")[1:2]), "")


def place_of(settings: Settings) -> str:
    """Where REDIS_URL leads, without its user and password."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    address = RedisAddress.parse(url)
    if address is not None:
        return ",".join(f"{one.host}:{one.port}" for one in address.hosts)
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname}:{parts.port or 6379}"
