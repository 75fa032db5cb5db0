"""Builds every adapter, in order, and closes them in reverse. Nothing else does."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from service.config import database_url, redis_url
from service.core.admin import Admin
from service.core.background import BackgroundTasks
from service.core.components import Components, SessionStoreCheck
from service.core.decrypt import Decryptor
from service.core.deletion import Deletion
from service.core.errors import SessionStoreUnavailable
from service.core.failed_openings import FailedOpenings
from service.core.fair_share import FairShare
from service.core.gone_users import GoneUsers
from service.core.lately_seen import LatelySeen
from service.core.login import Login
from service.core.login_limits import LoginLimits
from service.core.outage import Outage, Outages
from service.core.own_record import OwnRecord
from service.core.phone import PhoneNumbers
from service.core.profile import Profiles
from service.core.throttled_log import ThrottledLog
from service.core.uploads import Uploads
from service.core.watch import Watch
from service.http.context import Services
from service.metrics.figures import Figures
from service.metrics.sampler import Sampler
from service.pictures.decoder import ChildDecoder
from service.redis.connect import open_client
from service.redis.restarts import Restarts
from service.redis.scripts import Scripts
from service.sql.connect import connect_sql
from service.sql.status import DatabaseStatus
from service.sql.users import SqlUsers
from service.stores.access_tokens import RedisAccessTokens
from service.stores.avatars import AvatarFiles
from service.stores.code_markers import CodeMarkers
from service.stores.event_history import RedisEventHistory
from service.stores.event_writer import EventWriter
from service.stores.events import RedisEvents
from service.stores.keyring import Keyring
from service.stores.limits import RedisLimits
from service.stores.live_gauge import LiveGauge
from service.stores.live_slots import LiveSlots
from service.stores.login_codes import RedisLoginCodes
from service.stores.lost_data import LostData
from service.stores.phone_codes import RedisPhoneCodes
from service.stores.session_marks import RedisSessionMarks
from service.stores.sessions import RedisSessions
from service.stores.sessions_since import SessionsSince
from service.stores.used_data import RedisUsedData
from service.summary import say_what_is_there
from service.wechat.access_token import AccessTokens
from service.wechat.client import WeChatClient
from service.wechat.http import WeChatHttp, open_http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.config.settings import Settings
    from service.core.events import EventHistory
    from service.redis.client import RedisClient
    from service.sql.database import SqlDatabase

_UPLOADS: Final = 6
"""Uploads of the largest size that a worker has memory for. Usual ones are a tenth of it."""


@asynccontextmanager
async def open_services(
    settings: Settings, *, room: int = 1000, summarise: bool = False
) -> AsyncIterator[Services]:
    """Open what `settings` ask for, on the running event loop.

    `room`: how many connections of clients there may be. `summarise`: say in the log
    what was found, a moment later.

    Redis, SQL and WeChat need not answer yet: requests get 5xx and readiness is
    red until they do.
    """
    async with AsyncExitStack() as stack:
        outages = Outages()
        stores = _open_stores(settings, stack, outages)
        redis, scripts, sessions, users = (
            stores.redis,
            stores.scripts,
            stores.sessions,
            stores.users,
        )
        limits = RedisLimits(scripts, settings.limits, workers=settings.web_concurrency)
        used = RedisUsedData(redis, scripts, max_age=settings.encrypted_data_max_age)

        database_status = DatabaseStatus(stores.database, stores.sql_outage)
        stack.push_async_callback(database_status.aclose)
        gone_users = GoneUsers(stores.seen, users, sessions, stores.events, ThrottledLog("users"))
        stack.push_async_callback(gone_users.aclose)
        record = OwnRecord(users, sessions)
        pictures = ChildDecoder(ThrottledLog("pictures"))

        share = FairShare(settings.wechat_concurrency, ThrottledLog("wechat"))
        http = await _open_wechat(settings, stack, outages, share)
        tokens = AccessTokens(stores.access_tokens, http, ThrottledLog("wechat"))
        stack.push_async_callback(tokens.aclose)
        wechat = WeChatClient(http, tokens)

        decryptor = Decryptor(
            apps=settings.apps,
            sessions=sessions,
            wechat=wechat,
            limits=limits,
            failures=FailedOpenings(limits, ThrottledLog("decrypt")),
            max_age=settings.encrypted_data_max_age,
            probe=settings.probe_session_keys,
            events=stores.events,
        )
        background = BackgroundTasks()
        stack.push_async_callback(background.aclose)
        phones = PhoneNumbers(
            apps=settings.apps,
            wechat=wechat,
            codes=stores.phone_codes,
            users=users,
            record=record,
            sessions=sessions,
            decryptor=decryptor,
            used=used,
            send_openid=settings.phone_send_openid,
            limits=limits,
            encrypted_proves=settings.phone_from_encrypted_data == "join",
            background=background,
            events=stores.events,
        )
        profiles = Profiles(
            apps=settings.apps,
            users=users,
            record=record,
            deletion=stores.deletion,
            avatars=stores.avatars,
            pictures=pictures,
            sessions=sessions,
            wechat=wechat,
            limits=limits,
            check_nicknames=settings.check_nicknames,
            background=background,
        )
        login = Login(
            apps=settings.apps,
            devices=settings.device_classes,
            wechat=wechat,
            codes=RedisLoginCodes(stores.markers),
            users=users,
            sessions=sessions,
            phones=phones,
            decryptor=decryptor,
            used=used,
            limits=LoginLimits(limits, most_held=room // 4),
            background=background,
            events=stores.events,
        )

        components = Components([SessionStoreCheck(sessions), database_status], outages)
        restarts = Restarts(redis)
        live = LiveGauge(stores.event_history, settings.apps)
        figures = Figures()
        stack.callback(figures.close)
        sampler = Sampler(
            {
                "redis": redis.pool_use,
                "sql": stores.database.pool_use,
                "wechat": lambda: share.use,
            },
            figures,
        )
        sampler.start()
        stack.push_async_callback(sampler.aclose)

        with contextlib.suppress(SessionStoreUnavailable):
            await sessions.ping()
            await restarts.look()
            await live.look()
        await stores.marks.start()
        gone_users.start()
        await components.look()  # what is wrong is said in the log
        watch = Watch(outages, [components.look, restarts.look, live.look])
        stack.push_async_callback(watch.aclose)
        watch.start()
        if summarise:
            redis_place, database_place = _places(settings)
            summary = say_what_is_there(
                settings,
                redis,
                stores.database,
                redis_place=redis_place,
                database_place=database_place,
            )
            stack.push_async_callback(_end, asyncio.create_task(summary))
        yield Services(
            login=login,
            phones=phones,
            profiles=profiles,
            decryptor=decryptor,
            sessions=sessions,
            database=database_status,
            components=components,
            avatars=stores.avatars,
            pictures=pictures,
            uploads=Uploads(limits, sessions, most_bytes=_UPLOADS * settings.avatar_max_bytes),
            access_tokens=tokens,
            limits=limits,
            events=stores.events,
            event_history=stores.event_history,
            admin=_admin(settings, stores, background),
            outages=outages,
            figures=figures,
        )


@dataclass(frozen=True, slots=True)
class Administration:
    """What an operator works with at a command line."""

    admin: Admin
    history: EventHistory


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[Administration]:
    """Open Redis, the users and their pictures, and nothing that only the service needs.

    None of them need answer yet, as in `open_services`.
    """
    async with AsyncExitStack() as stack:
        stores = _open_stores(settings, stack, Outages())
        background = BackgroundTasks()
        stack.push_async_callback(background.aclose)
        await stores.marks.start()
        yield Administration(_admin(settings, stores, background), stores.event_history)


@dataclass(frozen=True, slots=True)
class _Stores:
    """What both the service and an operator's command work on."""

    redis: RedisClient
    scripts: Scripts
    events: RedisEvents
    event_history: RedisEventHistory
    sessions: RedisSessions
    seen: LatelySeen
    marks: RedisSessionMarks
    access_tokens: RedisAccessTokens
    markers: CodeMarkers
    phone_codes: RedisPhoneCodes
    database: SqlDatabase
    sql_outage: Outage
    users: SqlUsers
    avatars: AvatarFiles
    deletion: Deletion


def _open_stores(settings: Settings, stack: AsyncExitStack, outages: Outages) -> _Stores:
    """`stack` closes them."""
    redis_place, database_place = _places(settings)
    redis = open_client(settings, outages.of("redis", redis_place))
    stack.push_async_callback(redis.aclose)
    scripts = Scripts(redis)
    slots = LiveSlots(redis.prefix, ttl=settings.session_ttl)
    writer = EventWriter(scripts, slots, kept=settings.events_kept)
    writer.start()
    stack.push_async_callback(writer.aclose)
    events = RedisEvents(writer, address=settings.events_address)
    since, seen = SessionsSince(settings), LatelySeen()
    sessions = RedisSessions(redis, scripts, settings, since=since, seen=seen, events=events)
    marks = RedisSessionMarks(redis, scripts, since, LostData(sessions.are_any_there))
    stack.push_async_callback(marks.aclose)
    markers = CodeMarkers(redis, scripts, settings)
    database = _open_database(settings)
    stack.push_async_callback(database.aclose)
    phone_codes = RedisPhoneCodes(redis, markers, _keyring(settings, "phone-code"))
    sql_outage = outages.of("sql", database_place)
    users = SqlUsers(
        database,
        _keyring(settings, "phone"),
        sql_outage,
        platforms={app.appid: app.platform for app in settings.apps.values()},
        events=events,
    )
    avatars = AvatarFiles(settings.avatar_store, outages.of("avatars", settings.avatar_store))
    deletion = Deletion(
        devices=settings.device_classes,
        users=users,
        sessions=sessions,
        avatars=avatars,
        phone_codes=phone_codes,
        events=events,
    )
    return _Stores(
        redis=redis,
        scripts=scripts,
        events=events,
        event_history=RedisEventHistory(
            redis, slots, kept=settings.events_kept, devices=settings.device_classes
        ),
        sessions=sessions,
        seen=seen,
        marks=marks,
        access_tokens=RedisAccessTokens(redis, scripts, _keyring(settings, "access-token")),
        markers=markers,
        phone_codes=phone_codes,
        database=database,
        sql_outage=sql_outage,
        users=users,
        avatars=avatars,
        deletion=deletion,
    )


def _admin(settings: Settings, stores: _Stores, background: BackgroundTasks) -> Admin:
    return Admin(
        apps=settings.apps,
        devices=settings.device_classes,
        users=stores.users,
        sessions=stores.sessions,
        marks=stores.marks,
        access_tokens=stores.access_tokens,
        lifetime=stores.sessions.lifetime,
        deletion=stores.deletion,
        events=stores.events,
        history=stores.event_history,
        background=background,
    )


async def migrate(settings: Settings) -> tuple[int, int]:
    """Bring the user database up to date, and phone numbers under the newest secret key.

    Returns how many numbers were sealed anew, and how many no key opens. What
    fails is raised as it is.
    """
    from service.sql.migrate import upgrade  # noqa: PLC0415 # 9 MB that no worker needs

    database = _open_database(settings)
    try:
        await upgrade(database)
        users = SqlUsers(database, _keyring(settings, "phone"), Outage("sql"))
        return await users.reseal()
    finally:
        await database.aclose()


async def check_schema(settings: Settings) -> tuple[bool, str]:
    """Whether `migrate` has something to do, and how the schema differs from the code's."""
    from service.sql.migrate import check  # noqa: PLC0415 # as above

    async with aclosing(_open_database(settings)) as database:
        return await check(database)


async def print_migrations(settings: Settings) -> str:
    """The statements that `migrate` would run; none is."""
    from service.sql.migrate import script  # noqa: PLC0415 # as above

    async with aclosing(_open_database(settings)) as database:
        return await script(database)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service leans on, each by itself; None where it is not configured."""

    redis: RedisClient | None
    database: SqlDatabase | None
    avatars: AvatarFiles
    wechat: WeChatHttp


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """For whoever looks at one after the other. Nothing is connected to before it is asked."""
    async with AsyncExitStack() as stack:
        outages = Outages()
        redis = database = None
        if settings.redis_url:
            redis = open_client(settings, outages.of("redis"))
            stack.push_async_callback(redis.aclose)
        if settings.database_url:
            database = _open_database(settings)
            stack.push_async_callback(database.aclose)
        yield Parts(
            redis,
            database,
            AvatarFiles(settings.avatar_store, outages.of("avatars")),
            await _open_wechat(
                settings,
                stack,
                outages,
                FairShare(settings.wechat_concurrency, ThrottledLog("wechat")),
            ),
        )


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _places(settings: Settings) -> tuple[str, str]:
    """Where Redis and the database are, without credentials."""
    redis, database = settings.redis_url, settings.database_url
    return (
        redis_url.place_of(redis.get_secret_value()) if redis else "",
        database_url.place_of(database.get_secret_value()) if database else "",
    )


def _open_database(settings: Settings) -> SqlDatabase:
    if settings.database_url is None:
        raise ValueError("DATABASE_URL is not set")
    return connect_sql(
        settings.database_url.get_secret_value(), pool_size=settings.database_connections
    )


async def _open_wechat(
    settings: Settings, stack: AsyncExitStack, outages: Outages, share: FairShare
) -> WeChatHttp:
    """`stack` closes it."""
    return WeChatHttp(
        await stack.enter_async_context(open_http(settings)),
        bases=settings.wechat_api_base,
        timeout=settings.wechat_timeout_ms / 1000,
        share=share,
        outages=outages,
    )


def _keyring(settings: Settings, purpose: str) -> Keyring:
    return Keyring([key.get_secret_value() for key in settings.secret_keys], purpose=purpose)
