"""HTTP to WeChat, with limits on time, size and number of calls.

No URL, exception text or reply body leaves this module: they hold the
AppSecret, codes, tokens and the session_key. What is logged is errcode, rid and
the kind of fault.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from service.config.settings import WECHAT_HOSTS
from service.core.errors import WeChatUnavailable
from service.core.fault_cause import name_fault
from service.core.outage import Outages
from service.core.throttled_log import ThrottledLog
from service.metrics.series import wechat_errcodes
from service.tracing import pass_on, span
from service.wechat import errcodes
from service.wechat.breaker import Breakers
from service.wechat.meanings import meaning_of
from service.wechat.measured import Measured
from service.wechat.outages import WeChatOutages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from service.config.settings import Settings
    from service.core.errors import ServiceError
    from service.core.fair_share import FairShare
    from service.core.models import WeChatApp
    from service.wechat.breaker import Breaker

_LARGEST_BODY: Final = 64 * 1024
_CONNECT_SHARE: Final = 0.4
"""Of the whole time: leaves room to try a second host."""
_BUSY_PAUSE_SECONDS: Final = (0.1, 0.3)
_IDLE_SECONDS: Final = 15
_DNS_SECONDS: Final = 60
_ON_TLS: Final = "SSL_CERT_FILE names the authorities that this machine trusts"


class _NotSent(ConnectionError):
    """The connection was never made, so WeChat cannot have seen the request. Its text says why."""


class _NotSentInTime(_NotSent, TimeoutError):
    """Nor did the host say no: it was waited for in vain."""


class ErrcodeReturned(Exception):
    """WeChat answered with an errcode that the caller named in `expected`."""

    def __init__(self, errcode: int) -> None:
        super().__init__(errcode)
        self.errcode = errcode


def open_http(settings: Settings) -> aiohttp.ClientSession:
    """The HTTP client for WeChat, one per worker; the caller closes it."""
    to_connect = settings.wechat_timeout_ms / 1000 * _CONNECT_SHARE
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=settings.wechat_concurrency,
            ttl_dns_cache=_DNS_SECONDS,
            keepalive_timeout=_IDLE_SECONDS,
        ),
        # WeChatHttp limits the time of all attempts together.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=to_connect),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "MiniGate"},
        auto_decompress=False,
    )
    # aiohttp sends a GET again when a kept-alive connection turns out closed, and
    # has no public switch for it. A login code counts once: never send it twice.
    session._retry_connection = False  # noqa: SLF001
    return session


class WeChatHttp:
    """Asks WeChat, and turns what it refuses into errors of ours."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        bases: Sequence[str],
        timeout: float,
        share: FairShare,
        outages: Outages | None = None,
    ) -> None:
        """`bases`: WeChat's hosts; the next is tried only where the former cannot be reached.

        `timeout`: seconds for one call with all its attempts. `share`: who may call.
        """
        self._http = http
        self._bases = bases
        self._timeout = timeout
        self._share = share
        self._breakers = Breakers()
        self._refused: defaultdict[str, ThrottledLog] = defaultdict(lambda: ThrottledLog("wechat"))
        """One for each errcode that is no outage: one must not hide another."""
        self._trouble = WeChatOutages(outages or Outages())

    async def ask(
        self,
        app: WeChatApp,
        path: str,
        query: Mapping[str, str],
        *,
        body: Mapping[str, Any] | None = None,
        error_map: Mapping[int, type[ServiceError]],
        expected: frozenset[int] = frozenset(),
        client: str | None = None,
    ) -> dict[str, Any]:
        """GET, or POST of `body` as JSON, for an app; the answer once WeChat accepts.

        `error_map` says which error an errcode is; those in `expected` are raised as
        ErrcodeReturned for the caller to deal with. `client` is who has it asked.
        Raises besides WeChatUnavailable, what FairShare raises, and at once what the
        breaker raises while it is open.
        """
        breaker = self._breakers[path, app.appid]
        with Measured(path) as call, span("wechat", path):
            breaker.check()
            call.outcome = "busy"
            async with self._share.place(client):
                answer = await self._answer(breaker, call, path, query, body)
                errcode = answer.get("errcode", 0)
                breaker.answered(errcode, client)
                if errcode == 0:
                    self._trouble.accepted(path, app.appid)
                    return answer
                wechat_errcodes.add(path, errcodes.label_of(errcode))
                if isinstance(errcode, int) and errcode in expected:
                    if errcode not in errcodes.TOKEN_REFUSED:
                        self._trouble.accepted(path, app.appid)
                    raise ErrcodeReturned(errcode)
                refusal = self._refusal(app, path, answer, error_map)
                if refusal.status == HTTPStatus.BAD_REQUEST:  # the client's own fault
                    self._share.penalise(client)
                raise refusal

    def unusable(self, path: str, what: str) -> None:
        """Hear that an answer that was accepted lacks what it is for."""
        self._trouble.unusable(path, what)

    def usable(self, path: str) -> None:
        """Hear that one has it."""
        self._trouble.usable(path)

    async def _answer(
        self,
        breaker: Breaker,
        call: Measured,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """What WeChat says in time. No error has a cause: its text may hold the URL."""
        call.outcome = "broken"
        try:
            with breaker.call():
                call.begin()
                async with asyncio.timeout(self._timeout):
                    answer = await self._send_again_if_busy(path, query, body)
                call.end("refused")
        except _NotSent:
            call.end("unreachable")
            raise WeChatUnavailable(sent=False) from None
        except TimeoutError:
            call.end("timeout")
            self._trouble.unanswered(path, f"no answer in {self._timeout:g} s")
            raise WeChatUnavailable from None
        self._trouble.answered(path)
        return answer

    async def _send_again_if_busy(
        self, path: str, query: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The answer, after one more try where WeChat says that it is busy."""
        answer = await self._send(path, query, body)
        if answer.get("errcode") == errcodes.SYSTEM_BUSY:
            await asyncio.sleep(random.uniform(*_BUSY_PAUSE_SECONDS))  # noqa: S311 # jitter
            try:
                answer = await self._send(path, query, body)
            except (_NotSent, WeChatUnavailable):
                raise WeChatUnavailable from None  # as sent: WeChat saw the code the first time
        return answer

    async def _send(
        self, path: str, query: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        why = _NotSent()
        for base in self._bases:
            try:
                answer = await self._send_to(base, path, query, body)
            except _NotSent as fault:
                self._trouble.unreachable(base, str(fault))
                why = fault
            else:
                self._trouble.reached(base)
                return answer
        raise why

    async def _send_to(
        self, base: str, path: str, query: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        fault: str
        # orjson writes UTF-8: WeChat's text check is blind to \\u escapes.
        data = None if body is None else orjson.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        if base not in WECHAT_HOSTS:  # a proxy of the operator's: WeChat has no use for our traces
            pass_on(headers)
        try:
            async with self._http.request(
                "GET" if body is None else "POST",
                base + path,
                params=query,
                data=data,
                headers=headers,
                allow_redirects=False,
            ) as reply:
                if reply.status != 200:  # noqa: PLR2004
                    fault = f"HTTP {reply.status}"
                else:
                    answer = orjson.loads(await _read(reply))
                    if isinstance(answer, dict):
                        return answer
                    fault = "not an object"
        except aiohttp.ConnectionTimeoutError as error:
            raise _NotSentInTime(name_fault(error, on_tls=_ON_TLS)) from None
        except aiohttp.ClientConnectorError as error:
            raise _NotSent(name_fault(error, on_tls=_ON_TLS)) from None
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 # whatever it is, its text may hold the URL
            fault = name_fault(error)
        self._trouble.unanswered(path, f"unusable answer: {fault}")
        raise WeChatUnavailable

    def _refusal(
        self,
        app: WeChatApp,
        path: str,
        answer: Mapping[str, Any],
        error_map: Mapping[int, type[ServiceError]],
    ) -> ServiceError:
        """The error of an errcode, after saying what it means to whoever has to mend it."""
        errcode = answer.get("errcode")
        number = errcode if isinstance(errcode, int) else None
        kind = error_map.get(number) if number is not None else None
        told = errcodes.loggable(answer.get("errmsg"))
        shown: str | int = "not a number" if number is None else number
        fields = {"errcode": shown, "appid": app.appid, **told}
        if errcodes.is_outage(number, kind):
            meaning = meaning_of(number, app.appid, told.get("ip"))
            why = f"{shown}: {meaning.en}: {meaning.cure}"
            # Unknown ones share their lines: there may be any number of them.
            self._trouble.refused(path, app.appid, number if kind else None, why, fields)
        else:
            self._trouble.accepted(path, app.appid)
            text = f"{path} refused: {kind.error if kind else number}"
            self._refused[f"{path} {number} {app.appid}"].say(logging.INFO, text, **fields)
        refusal = (kind or WeChatUnavailable)()
        refusal.answered = errcode not in errcodes.NOT_LOOKED_AT
        refusal.errcode = errcodes.label_of(errcode)
        return refusal


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    """The body up to its cap. WeChat says text/plain; the bytes are JSON all the same."""
    body = b""
    while len(body) <= _LARGEST_BODY and not reply.content.at_eof():
        body += await reply.content.read(_LARGEST_BODY + 1 - len(body))
    return body
