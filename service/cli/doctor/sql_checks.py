"""The user database: whether it answers, takes changes, and has the tables of this version."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from service.cli.doctor.findings import Check, Finding, median_ms, ok, skew, warning, wrong
from service.cli.language import Text
from service.core.fault_cause import name_fault
from service.sql.schema import users
from service.sql.schema_version import NEWEST, find_version, is_outdated, read_version

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from service.config.settings import Settings
    from service.sql.database import SqlDatabase

_READS: Final = 11
_SLOW_MS: Final = 20.0
_SPARE: Final = 3
"""Connections that PostgreSQL keeps for its administrators."""

_ANSWERS: Final = Text("{kind} {version}, {ms} ms", "{kind} {version}，{ms} 毫秒")
_SLOW: Final = Text("a statement takes {ms} ms", "一条语句需要 {ms} 毫秒")
_NEARER: Final = Text(
    "bring it nearer, or see what else loads it", "让数据库离服务更近，或查看它的负载"
)
_FAILS: Final = Text("{why}", "{why}")
_CURES: Final = (
    (
        ("28P01", "28000"),
        Text(
            "correct user and password in DATABASE_URL, or what pg_hba.conf allows this user",
            "修正 DATABASE_URL 中的用户名和密码，或 pg_hba.conf 对该用户的设置",
        ),
    ),
    (
        ("3D000",),
        Text(
            "there is no such database: correct its name in DATABASE_URL, or CREATE DATABASE",
            "没有这个数据库：修正 DATABASE_URL 中的库名，或执行 CREATE DATABASE",
        ),
    ),
    (
        ("42501", "READONLY"),
        Text(
            "this user may not write: GRANT what is needed, or let it own the tables",
            "该用户无权写入：授予权限，或让它成为表的属主",
        ),
    ),
    (
        ("25006",),
        Text(
            "this is a replica: DATABASE_URL has to lead to the primary;"
            " ?target_session_attrs=read-write finds it",
            "这是只读副本：DATABASE_URL 必须指向主库；可用 ?target_session_attrs=read-write",
        ),
    ),
    (
        ("53300",),
        Text(
            "it has no connection left: raise max_connections, or lower DATABASE_CONNECTIONS",
            "连接数已满：调大 max_connections，或减小 DATABASE_CONNECTIONS",
        ),
    ),
    (
        ("certificate", "TLS"),
        Text(
            "?sslrootcert= in DATABASE_URL names your own authority; ?sslmode= decides on TLS",
            "用 DATABASE_URL 的 ?sslrootcert= 指定自己的 CA；是否使用 TLS 由 ?sslmode= 决定",
        ),
    ),
    (
        ("CANTOPEN", "ENOENT", "EACCES"),
        Text(
            "its folder has to be there, and writable for the user of the service",
            "数据库文件所在目录必须存在，且服务用户可写",
        ),
    ),
)
_START_IT: Final = Text(
    "start the database, or correct host and port in DATABASE_URL; a firewall may be between",
    "启动数据库，或修正 DATABASE_URL 中的主机和端口；也可能被防火墙拦截",
)
_CURRENT: Final = Text("version {version}", "版本 {version}")
_NO_TABLES: Final = Text("there are no tables yet", "还没有表")
_OLD: Final = Text(
    "the tables are older than the code: {version}, not {newest}",
    "表结构比代码旧：{version}，应为 {newest}",
)
_NEW: Final = Text(
    "the tables are newer than the code: {version}, not {newest}",
    "表结构比代码新：{version}，应为 {newest}",
)
_MIGRATE: Final = Text("run python -m service migrate", "执行 python -m service migrate")
_UPGRADE: Final = Text(
    "fine after a step back by one version; else start the newer version",
    "回退一个版本后属正常；否则请启动新版本",
)
_WRITABLE: Final = Text("takes changes", "可写")
_TOO_MANY: Final = Text(
    "{wanted} connections at most (WEB_CONCURRENCY × DATABASE_CONNECTIONS) of {most}",
    "最多需要 {wanted} 个连接（WEB_CONCURRENCY × DATABASE_CONNECTIONS），上限为 {most}",
)
_FEWER: Final = Text(
    "lower DATABASE_CONNECTIONS, raise max_connections, or put PgBouncer before it",
    "减小 DATABASE_CONNECTIONS，调大 max_connections，或使用 PgBouncer",
)


def sql_checks(database: SqlDatabase, settings: Settings) -> list[Check]:
    """The first one decides whether the others make sense."""
    return [
        Check("database", Text("Database", "数据库"), partial(_reach, database, settings)),
        Check(
            "database-schema", Text("Database schema", "数据库表结构"), partial(_schema, database)
        ),
    ]


async def _reach(database: SqlDatabase, settings: Settings) -> list[Finding]:
    is_postgres = database.dialect == "postgresql"
    try:
        version = await database.read(_version_of_postgres if is_postgres else _version_of_sqlite)
        ms = round(await median_ms(lambda: database.read(_nothing), times=_READS), 2)
        kind = "PostgreSQL" if is_postgres else "SQLite"
        found = [ok(_ANSWERS, kind=kind, version=version, ms=ms)]
        if ms > _SLOW_MS:
            found.append(warning(_SLOW, _NEARER, ms=ms))
        if is_postgres:
            found += await _of_postgres(database, settings)
    except Exception as fault:  # noqa: BLE001 # a dying connection can raise anything
        return [_fault(fault)]
    return found


async def _of_postgres(database: SqlDatabase, settings: Settings) -> list[Finding]:
    sent = time.time()
    now = await database.read(_now)
    found = [skew(now, sent=sent, received=time.time())]
    most = await database.read(_most_connections)
    wanted = settings.web_concurrency * settings.database_connections
    if wanted > most - _SPARE:
        found.append(warning(_TOO_MANY, _FEWER, wanted=wanted, most=most))
    return found


async def _schema(database: SqlDatabase) -> list[Finding]:
    try:
        version = await database.read(find_version)
        if version is None:
            return [wrong(_NO_TABLES, _MIGRATE)]
        if is_outdated(version):
            return [wrong(_OLD, _MIGRATE, version=version, newest=NEWEST)]
        found = (
            ok(_CURRENT, version=version)
            if version == NEWEST
            else warning(_NEW, _UPGRADE, version=version, newest=NEWEST)
        )
        await database.probe(read_version, table=users)
    except Exception as fault:  # noqa: BLE001 # as above
        return [_fault(fault)]
    return [found, ok(_WRITABLE)]


def _fault(fault: BaseException) -> Finding:
    why = name_fault(fault)
    cure = next((cure for signs, cure in _CURES if any(one in why for one in signs)), _START_IT)
    return wrong(_FAILS, cure, why=why)


def _version_of_postgres(db: Connection) -> str:
    return str(db.scalar(text("SHOW server_version"))).partition(" ")[0]


def _version_of_sqlite(db: Connection) -> str:
    return str(db.scalar(text("SELECT sqlite_version()")))


def _nothing(db: Connection) -> None:
    db.scalar(text("SELECT 1"))


def _now(db: Connection) -> float:
    return float(db.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0)


def _most_connections(db: Connection) -> int:
    return int(db.scalar(text("SHOW max_connections")) or 0)
