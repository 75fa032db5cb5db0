"""Logging in and out: the use case that crosses WeChat and the session store."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.errors import (
    InvalidRequest,
    LoginCodeUsed,
    ServiceError,
    SessionStoreUnavailable,
    UnknownAppid,
    WeChatBusy,
    WeChatUnavailable,
)
from service.models import OpenedSession, PastLogin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from service.models import CodeClaim, SessionId, WeChatApp
    from service.ports import LoginCodes, SessionStore, WeChat

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What a client brings to log in."""

    code: str = field(repr=False)
    appid: str | None = None
    """None: the only mini-program there is."""
    device: str | None = None
    """None: the first device class."""
    idempotency_key: str | None = field(default=None, repr=False)


class Login:
    """Exchanges codes for sessions."""

    def __init__(
        self,
        *,
        apps: Mapping[str, WeChatApp],
        devices: Sequence[str],
        wechat: WeChat,
        codes: LoginCodes,
        sessions: SessionStore,
    ) -> None:
        """`apps` by appid; `devices` are the device classes, the first one the default."""
        self._apps = apps
        self._devices = devices
        self._wechat = wechat
        self._codes = codes
        self._sessions = sessions
        self._under_way: set[asyncio.Task[OpenedSession]] = set()

    async def log_in(self, request: LoginRequest) -> OpenedSession:
        """Open the caller's session.

        Raises UnknownAppid and InvalidRequest before the code is spent, then
        what LoginCodes.claim, WeChat.code2session and SessionStore.open raise.
        """
        app, device = self._app(request.appid), self._device(request.device)
        # Once begun, a login runs to its end even if the client hangs up: its
        # code is spent, and a repeat of the request is to find the answer.
        task = asyncio.create_task(self._log_in(request, app, device))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def log_out(self, session_id: SessionId) -> bool:
        """End this session; False when it was dead already."""
        ended = await self._sessions.close(session_id)
        log.info("logout handle=%s ended=%s", session_id.handle, ended)
        return ended

    async def aclose(self) -> None:
        """Wait for logins whose clients have gone."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _app(self, appid: str | None) -> WeChatApp:
        if appid is None and len(self._apps) == 1:
            return next(iter(self._apps.values()))
        try:
            return self._apps[appid or ""]
        except KeyError:
            raise UnknownAppid from None

    def _device(self, device: str | None) -> str:
        if device is None:
            return self._devices[0]
        if device not in self._devices:
            raise InvalidRequest("device", f"one of {', '.join(self._devices)}")
        return device

    async def _log_in(self, request: LoginRequest, app: WeChatApp, device: str) -> OpenedSession:
        claim = await self._codes.claim(
            app.appid, request.code, idempotency_key=request.idempotency_key
        )
        if isinstance(claim, PastLogin):
            return await self._repeat(claim)
        try:
            opened = await self._exchange(request.code, app, device)
        except ServiceError as error:
            await self._give_up(claim, error)
            raise
        await self._codes.succeed(claim, opened)
        return opened

    async def _exchange(self, code: str, app: WeChatApp, device: str) -> OpenedSession:
        identity = await self._wechat.code2session(app, code)
        try:
            opened = await self._sessions.open(identity, appid=app.appid, device=device)
        except SessionStoreUnavailable as error:
            error.data = {"retry": "new_code"}
            raise
        log.info(
            "login handle=%s appid=%s device=%s shared=%s",
            opened.session_id.handle,
            app.appid,
            device,
            opened.shared,
        )
        return opened

    async def _repeat(self, past: PastLogin) -> OpenedSession:
        """The answer that the same request was given, while its session lives."""
        session_id = await self._sessions.recall(past.handle, past.digest)
        if session_id is None:
            raise LoginCodeUsed
        return OpenedSession(session_id, past.expires_in, shared=True)

    async def _give_up(self, claim: CodeClaim, error: ServiceError) -> None:
        unseen = isinstance(error, WeChatBusy) or (
            isinstance(error, WeChatUnavailable) and not error.sent
        )
        if unseen:
            await self._codes.release(claim)
        else:
            # The code is spent. After an outage a repeat needs a new one too.
            outage = isinstance(error, SessionStoreUnavailable)
            await self._codes.fail(claim, LoginCodeUsed() if outage else error)
