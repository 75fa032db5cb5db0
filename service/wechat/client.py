"""WeChat's server API, as far as this service calls it.

No URL, exception text or reply body leaves this module: they hold the
AppSecret, the code and the session_key. What is logged is errcode, rid and the
kind of fault.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import random
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from service.errors import (
    WeChatBusy,
    WeChatMisconfigured,
    WeChatUnavailable,
)
from service.models import SESSION_KEY_BYTES, WeChatIdentity
from service.wechat import errcodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.models import WeChatApp
    from service.settings import Settings

log = logging.getLogger(__name__)

_LARGEST_BODY: Final = 64 * 1024
_CONNECT_SHARE: Final = 0.4
"""Of the whole time: leaves room to try a second host."""
_BUSY_PAUSE_SECONDS: Final = (0.1, 0.3)
_IDLE_SECONDS: Final = 15
_DNS_SECONDS: Final = 60


class _NotSent(Exception):
    """The connection was never made, so WeChat cannot have seen the request."""


def open_http(settings: Settings) -> aiohttp.ClientSession:
    """The HTTP client for WeChat, one per worker; the caller closes it."""
    timeout = settings.wechat_timeout_ms / 1000
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=settings.wechat_concurrency,
            ttl_dns_cache=_DNS_SECONDS,
            keepalive_timeout=_IDLE_SECONDS,
        ),
        timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=timeout * _CONNECT_SHARE),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "MiniGate"},
        auto_decompress=False,
    )
    # aiohttp sends a GET again when a kept-alive connection turns out closed, and
    # has no public switch for it. A login code counts once: never send it twice.
    session._retry_connection = False  # noqa: SLF001
    return session


class WeChatClient:
    """The WeChat port over aiohttp."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        bases: Sequence[str],
        timeout: float,
        concurrency: int,
    ) -> None:
        """`bases`: WeChat's hosts; the next is tried only where the former cannot be reached.

        `timeout`: seconds for one exchange with all its attempts. `concurrency`:
        exchanges under way at once.
        """
        self._http = http
        self._bases = bases
        self._timeout = timeout
        self._concurrency = concurrency
        self._under_way = 0

    async def code2session(self, app: WeChatApp, js_code: str) -> WeChatIdentity:
        """Exchange a `wx.login` code, once: GET /sns/jscode2session.

        Raises LoginCodeInvalid, LoginCodeUsed, WeChatUserBlocked,
        WeChatRateLimited, WeChatMisconfigured, WeChatUnavailable, and
        WeChatBusy at once when as many exchanges as allowed are under way.
        """
        query = {
            "appid": app.appid,
            "secret": app.secret,
            "js_code": js_code,
            "grant_type": "authorization_code",
        }
        if self._under_way >= self._concurrency:
            raise WeChatBusy
        self._under_way += 1
        try:
            async with asyncio.timeout(self._timeout):
                return _identity(await self._ask("/sns/jscode2session", query))
        except TimeoutError:
            log.warning("wechat: jscode2session timed out")
            # Without the cause: its text may hold the URL.
            raise WeChatUnavailable from None
        finally:
            self._under_way -= 1

    async def _ask(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        """The answer, after one more try where WeChat says that it is busy."""
        answer = await self._get(path, query)
        if answer.get("errcode") == errcodes.SYSTEM_BUSY:
            await asyncio.sleep(random.uniform(*_BUSY_PAUSE_SECONDS))  # noqa: S311 # jitter
            try:
                answer = await self._get(path, query)
            except WeChatUnavailable:
                raise WeChatUnavailable from None  # it has seen the code all the same
        errcode = answer.get("errcode", 0)
        if errcode != 0:
            raise _refusal(path, errcode, answer.get("errmsg"))
        return answer

    async def _get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        for base in self._bases:
            try:
                return await self._get_from(base + path, query)
            except _NotSent:
                log.warning("wechat: no connection to %s", base)
        raise WeChatUnavailable(sent=False)

    async def _get_from(self, url: str, query: dict[str, str]) -> dict[str, Any]:
        fault: str
        try:
            async with self._http.get(url, params=query, allow_redirects=False) as reply:
                if reply.status != 200:  # noqa: PLR2004
                    fault = f"HTTP {reply.status}"
                else:
                    # WeChat says text/plain; the bytes are JSON all the same.
                    body = await reply.content.read(_LARGEST_BODY + 1)
                    while len(body) <= _LARGEST_BODY and not reply.content.at_eof():
                        body += await reply.content.read(_LARGEST_BODY + 1 - len(body))
                    answer = orjson.loads(body)
                    if isinstance(answer, dict):
                        return answer
                    fault = "not an object"
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise _NotSent from None
        except TimeoutError:
            raise
        except Exception as error:
            fault = type(error).__name__
        log.warning("wechat: unusable answer: %s", fault)
        raise WeChatUnavailable


def _refusal(path: str, errcode: object, errmsg: object) -> Exception:
    """The error of an errcode, logged at the level that its reader needs."""
    kind = errcodes.CODE2SESSION.get(errcode) if isinstance(errcode, int) else None
    error = (kind or WeChatUnavailable)()
    level = logging.ERROR if kind in (WeChatMisconfigured, None) else logging.INFO
    shown = errcode if isinstance(errcode, int) else "not a number"
    log.log(level, "wechat: %s errcode=%s %s", path, shown, errcodes.loggable(errmsg))
    return error


def _identity(answer: dict[str, Any]) -> WeChatIdentity:
    """Read a success, which has no errcode; raises WeChatUnavailable when it is not one."""
    openid, unionid = answer.get("openid"), answer.get("unionid")
    session_key = _session_key(answer.get("session_key"))
    if (
        isinstance(openid, str)
        and openid
        and session_key is not None
        and (unionid is None or isinstance(unionid, str))
    ):
        return WeChatIdentity(openid, session_key, unionid or None)
    log.error("wechat: jscode2session answered without a usable openid and session_key")
    raise WeChatUnavailable


def _session_key(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == SESSION_KEY_BYTES else None
