"""Every series: its name, its labels, and what it says.

What stands in a label is never what somebody sent: a route's pattern, the name of an error, an
errcode that is known, an appid of the settings. tests/api/test_metrics_labels.py holds this.
"""

from __future__ import annotations

import platform
from typing import Final

from prometheus_client import Gauge

from service import __version__
from service.metrics.registry import REGISTRY
from service.metrics.requests import Requests
from service.metrics.tally import Count, Sizes, Timing

session_checks: Final = Count(
    "minigate_session_checks",
    "Sessions that the guard was asked about, by outcome: ok, or the error that it answered."
    " session_store_unavailable is no fault of the session: Redis could not be asked.",
    ["outcome"],
    known=[
        ("ok",),
        ("session_missing",),
        ("session_malformed",),
        ("session_expired",),
        ("session_replaced",),
        ("session_kicked",),
        ("user_banned",),
        ("session_store_unavailable",),
    ],
)
requests: Final = Requests(session_checks)

logins: Final = Count(
    "minigate_logins",
    "Logins by outcome (ok, or the error that was answered) and by the errcode that WeChat gave"
    " for it: empty where WeChat had no part in it, other where it is not one that is known.",
    ["outcome", "errcode"],
    known=[("ok", "")],
)
events: Final = Count(
    "minigate_events",
    "What happened to sessions and users: login, shared (a login of the same moment got the"
    " session of another one), replaced, kicked and so on, as in the log.",
    ["event"],
    known=[("login",), ("login_refused",), ("shared",), ("replaced",)],
)
events_dropped: Final = Count(
    "minigate_events_dropped",
    "Events that stand in the log, but were not kept: Redis was away, or they came too fast.",
)

wechat_calls: Final = Count(
    "minigate_wechat_calls",
    "Calls of WeChat by endpoint and outcome: ok, refused (it answered with an errcode), timeout,"
    " unreachable, unusable (an answer that is none), or not made at all: busy (no place came free)"
    " and broken (nothing is asked for a while after time-outs or at a limit of WeChat's).",
    ["endpoint", "outcome"],
)
wechat_seconds: Final = Timing(
    "minigate_wechat_call_duration_seconds",
    "How long calls of WeChat took that were made, with the repeat where WeChat was busy.",
    ["endpoint"],
)
wechat_errcodes: Final = Count(
    "minigate_wechat_errcodes",
    "Errcodes that WeChat answered with; other is one that is not in its documentation.",
    ["endpoint", "errcode"],
)
phone_numbers: Final = Count(
    "minigate_phone_numbers_paid",
    "Phone numbers that WeChat gave out, each of which it charges the mini-program for.",
    ["appid"],
)
access_token_fetched: Final = Gauge(
    "minigate_access_token_fetched_timestamp_seconds",
    "When the access_token of a mini-program was last fetched from WeChat, in Unix seconds."
    " It is fetched when it is wanted, so an old one alone is no fault.",
    ["appid"],
    registry=REGISTRY,
    multiprocess_mode="max",
)
access_token_expires: Final = Gauge(
    "minigate_access_token_expires_timestamp_seconds",
    "When the newest access_token of a mini-program ends, in Unix seconds.",
    ["appid"],
    registry=REGISTRY,
    multiprocess_mode="max",
)

redis_seconds: Final = Timing(
    "minigate_redis_call_duration_seconds",
    "How long Redis took: read is a batch of reads of sessions, from its sending to its answer;"
    " all others are commands or scripts, from when they are wanted, with waiting and repeats.",
    ["operation"],
)
redis_failures: Final = Count(
    "minigate_redis_failures",
    "Calls of Redis that failed in the end, by what was called and by why.",
    ["operation", "reason"],
)
redis_batch: Final = Sizes(
    "minigate_redis_read_batch_size",
    "How many reads of sessions went to Redis together.",
    bounds=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)

sql_seconds: Final = Timing(
    "minigate_sql_call_duration_seconds",
    "How long the user database took, with waiting for a connection and repeats: find is the look"
    " for a user at a login.",
    ["operation"],
)
sql_failures: Final = Count(
    "minigate_sql_failures",
    "Calls of the user database that failed in the end: timeout, or error.",
    ["operation", "reason"],
)

pool_used: Final = Gauge(
    "minigate_pool_used",
    "Connections to Redis, connections to the user database or places for calls of WeChat that are"
    " in use at the moment, of all workers.",
    ["pool"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
pool_size: Final = Gauge(
    "minigate_pool_size",
    "How many of them there may be, of all workers.",
    ["pool"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
connections: Final = Gauge(
    "minigate_client_connections",
    "Connections of clients and proxies that are open.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
loop_lag: Final = Timing(
    "minigate_event_loop_lag_seconds",
    "How late a timer of each worker came, once a second: so long requests wait for the processor,"
    " or for something that blocks.",
)
loop_lag_max: Final = Gauge(
    "minigate_event_loop_lag_max_seconds",
    "The longest of the last minute, of the worst worker.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
live_sessions: Final = Gauge(
    "minigate_live_sessions",
    "Sessions that live, by mini-program, as of the last half minute. An estimate: the different"
    " ones that a login opened, or use renewed, within SESSION_TTL, to about 1 in 100; those that"
    " have ended since are counted until that time is over.",
    ["appid"],
    registry=REGISTRY,
    multiprocess_mode="livemostrecent",
)
build: Final = Gauge(
    "minigate_build_info",
    "Always 1; which versions are running.",
    ["version", "python"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
build.labels(__version__, platform.python_version()).set(1)
