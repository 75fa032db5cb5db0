"""Logging in and out: the use case that crosses WeChat, the users and the sessions."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from service.core.errors import (
    InvalidRequest,
    LoginCodeInvalid,
    LoginCodeUsed,
    NicknameError,
    PhoneCodeInvalid,
    ServiceError,
    SessionStoreUnavailable,
    UnknownAppid,
    UserBanned,
    UserStoreUnavailable,
)
from service.core.login_events import tell_opened, tell_refused
from service.core.login_request import add_hint
from service.core.models import LoggedIn, PastLogin, UserIdentity, counted_as
from service.core.nickname import clean
from service.core.payload import without_odd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from service.core.background import BackgroundTasks
    from service.core.decrypt import Decryptor
    from service.core.events import Events
    from service.core.login_limits import LoginLimits
    from service.core.login_request import LoginRequest
    from service.core.models import (
        CodeClaim,
        Encrypted,
        SessionId,
        User,
        UserMatch,
        WeChatApp,
        WeChatIdentity,
    )
    from service.core.phone import PhoneNumbers
    from service.core.ports import (
        LoginCodes,
        SessionStore,
        UsedData,
        UserMark,
        UserStore,
        WeChat,
    )

log = logging.getLogger(__name__)

_FIRST_TRANSIENT_STATUS: Final = 429
"""What is refused with this status or a higher one may be granted a moment later."""


class Login:
    """Exchanges codes for sessions."""

    def __init__(
        self,
        *,
        apps: Mapping[str, WeChatApp],
        devices: Sequence[str],
        wechat: WeChat,
        codes: LoginCodes,
        users: UserStore,
        sessions: SessionStore,
        phones: PhoneNumbers,
        decryptor: Decryptor,
        used: UsedData,
        limits: LoginLimits,
        background: BackgroundTasks,
        events: Events,
    ) -> None:
        """`apps` by appid; `devices` are the device classes, the first one the default."""
        self._apps = apps
        self._devices = devices
        self._wechat = wechat
        self._codes = codes
        self._users = users
        self._sessions = sessions
        self._phones = phones
        self._decryptor = decryptor
        self._used = used
        self._limits = limits
        self._background = background
        self._events = events

    async def log_in(self, request: LoginRequest) -> LoggedIn:
        """Open the caller's session; with a phone code, for the owner of that number.

        Raises UnknownAppid, InvalidRequest and RateLimited before the code is spent, then
        what LoginCodes, WeChat, UserStore and SessionStore raise, UserBanned,
        and DecryptFailed and RateLimited for a profile that does not open.
        """
        app, device = self._app(request.appid), self._device(request.device)
        try:
            await self._limits.count(request)
            # Even if the client hangs up: the code is spent, and a repeat should get the answer.
            return await self._background.run_to_completion(self._log_in(request, app, device))
        except ServiceError as error:
            tell_refused(self._events, error, appid=app.appid, device=device)
            if isinstance(error, (LoginCodeInvalid, PhoneCodeInvalid)):
                add_hint(error, request)
            raise

    async def log_out(self, session_id: SessionId) -> bool:
        """End this session; False when it was dead already."""
        ended = await self._sessions.revoke(session_id)
        if ended is None:  # a made-up id would be a line each, of a handle of choice
            return False
        user, appid, device = ended
        self._events.record(
            "logout", user=user, handle=session_id.handle, appid=appid, device=device
        )
        return True

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

    async def _log_in(self, request: LoginRequest, app: WeChatApp, device: str) -> LoggedIn:
        claim = await self._codes.claim(
            app.appid,
            request.code,
            request=request.digest(app, device) if request.idempotency_key else "",
            idempotency_key=request.idempotency_key,
        )
        if isinstance(claim, PastLogin):
            return await self._repeat(claim)
        try:
            return await self._exchange(claim, request, app, device)
        except ServiceError as error:
            await self._limits.count_failure(request, error)
            raise

    async def _exchange(
        self, claim: CodeClaim, request: LoginRequest, app: WeChatApp, device: str
    ) -> LoggedIn:
        try:
            identity = await self._limits.exchange(
                request,
                app,
                partial(self._wechat.code2session, app, request.code, client=request.address),
            )
        except ServiceError as error:
            await self._not_exchanged(claim, error)
            raise
        try:
            await self._codes.claim_key(claim, app.appid, identity.openid)
            answer = await self._admit(identity, request, app, device)
        except ServiceError as error:
            await self._not_admitted(claim, error)
            raise
        await self._codes.succeed(claim, answer)
        return answer

    async def _admit(
        self, identity: WeChatIdentity, request: LoginRequest, app: WeChatApp, device: str
    ) -> LoggedIn:
        """Find the user and open their session, now that WeChat has said who it is."""
        profile = await self._profile(identity, app, device, request)
        match = await self._find_or_create(identity, app, request)
        try:
            return await self._open(match, identity, request, app, device, profile)
        except ServiceError as error:
            error.user = match.user.id
            raise

    async def _open(  # noqa: PLR0917 # the rest of `_admit`
        self,
        match: UserMatch,
        identity: WeChatIdentity,
        request: LoginRequest,
        app: WeChatApp,
        device: str,
        profile: dict[str, Any],
    ) -> LoggedIn:
        """The session of a user who is known by now."""
        whose = counted_as(app.appid, identity.openid)
        user = await self._with_profile(match.user, whose, profile, request.encrypted)
        _refuse_banned(user)
        # The user's row stands before any session can point to it.
        known = identity
        if match.unionid != identity.unionid is None:
            known = replace(identity, unionid=match.unionid)
        opened = await self._sessions.create(known, appid=app.appid, device=device, user_id=user.id)
        # From here on the session before is out: no failure may turn the answer into another.
        try:
            await self._look_again(user)
        except ServiceError:
            # Nobody has been told of the session, so nobody can use it where this fails.
            with suppress(SessionStoreUnavailable):
                await self._sessions.revoke(opened.session_id)
            raise
        tell_opened(self._events, opened, match, appid=app.appid, device=device)
        who = UserIdentity(app.appid, identity.openid, known.unionid)
        return LoggedIn(opened.session_id, opened.expires_in, user, match.is_new, who)

    async def _look_again(self, user: User) -> None:
        """Refuse a user who was deleted or banned since their row was read.

        The mark may be on another server than the session, and that one be away; then
        the row says it. Raises LoginCodeUsed for who is deleted, so that the next login makes
        a new user; UserBanned; and UserStoreUnavailable where nothing says that there was
        no ban: who bans does not look for sessions a second time, as who deletes does.
        """
        mark: UserMark | None = None
        with suppress(SessionStoreUnavailable):
            if not (mark := await self._sessions.user_mark(user.id)):
                return
        try:
            now = await self._users.get(user.id)
        except UserStoreUnavailable:
            if mark == "deleted":
                return
            raise
        if now is None:
            raise LoginCodeUsed
        _refuse_banned(now)

    async def _find_or_create(
        self, identity: WeChatIdentity, app: WeChatApp, request: LoginRequest
    ) -> UserMatch:
        if request.phone_code is None:
            return await self._users.find_or_create(app.appid, identity)
        phone = await self._phones.redeem(app, request.phone_code, identity.openid)
        return await self._users.find_or_create_with_phone(app.appid, identity, phone)

    async def _profile(
        self, identity: WeChatIdentity, app: WeChatApp, device: str, request: LoginRequest
    ) -> dict[str, Any]:
        """The profile that came along, or {}. Who logs in is for code2session alone to say."""
        signed = request.raw_data is not None and request.signature is not None
        if not signed and request.encrypted is None:
            return {}
        keys = await self._decryptor.keys_at_login(identity, app.appid, device)
        if request.raw_data is not None and request.signature is not None:
            self._decryptor.check_signature(keys, request.raw_data, request.signature)
        if request.encrypted is None:
            return {}
        return await self._decryptor.open_at_login(
            keys, identity, app.appid, device, request.encrypted
        )

    async def _with_profile(
        self, user: User, whose: str, profile: dict[str, Any], encrypted: Encrypted | None
    ) -> User:
        """The user, renamed to the profile's nickname if that can be one.

        Not by a profile that does not say whose it is, and by each one once.
        `whose`: the user as limits count them.
        """
        if encrypted is None or "openId" not in profile:
            return user
        try:
            nickname = clean(without_odd(profile["nickName"]))
        except NicknameError:
            return user
        if nickname == user.nickname:
            return user
        async with self._used.use(whose, encrypted) as is_first:
            if is_first:
                return await self._users.set_nickname(user.id, nickname) or user
        return user

    async def _repeat(self, past: PastLogin) -> LoggedIn:
        """The answer that the same request was given, while its session lives."""
        session_id = await self._sessions.restore_id(past.handle, past.digest)
        user = await self._users.get(past.user_id)
        if user is not None:
            _refuse_banned(user)
        if session_id is None or user is None:
            raise LoginCodeUsed
        return LoggedIn(session_id, past.expires_in, user, past.is_new)

    async def _not_exchanged(self, claim: CodeClaim, error: ServiceError) -> None:
        if error.sent:
            await self._codes.fail(claim, error)
        else:
            await self._codes.release(claim)

    async def _not_admitted(self, claim: CodeClaim, error: ServiceError) -> None:
        """Note the error for a repeat; where it may pass, the client needs a new code."""
        if error.status < _FIRST_TRANSIENT_STATUS:
            await self._codes.fail(claim, error)
        else:
            error.data = {**(error.data or {}), "retry": "new_code"}
            await self._codes.fail(claim, LoginCodeUsed())


def _refuse_banned(user: User) -> None:
    if user.ban is not None and user.banned:
        raise UserBanned(at=user.ban.at, until=user.ban.until)
