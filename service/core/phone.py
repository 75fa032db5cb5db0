"""Phone numbers: redeeming WeChat's codes for them, binding them to a user."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from service.core.errors import (
    DecryptFailed,
    LoginTooOld,
    PhoneCodeInvalid,
    ServiceError,
    SessionStoreUnavailable,
)
from service.core.models import CodeClaim, Phone, counted_as
from service.core.payload import country_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.core.background import BackgroundTasks
    from service.core.decrypt import Decryptor
    from service.core.events import Events
    from service.core.models import Encrypted, Session, User, WeChatApp
    from service.core.own_record import OwnRecord
    from service.core.ports import (
        LimitName,
        Limits,
        PhoneCodes,
        SessionStore,
        UsedData,
        UserRecords,
        WeChat,
    )

log = logging.getLogger(__name__)

FRESH_LOGIN_SECONDS: Final = 300
"""How old a login may be to change a number that is there."""
_CLOCK_ERROR_SECONDS: Final = 1


class PhoneNumbers:
    """Gets numbers from WeChat, each at most once, and gives them to users."""

    def __init__(
        self,
        *,
        apps: Mapping[str, WeChatApp],
        wechat: WeChat,
        codes: PhoneCodes,
        users: UserRecords,
        record: OwnRecord,
        sessions: SessionStore,
        decryptor: Decryptor,
        used: UsedData,
        send_openid: bool,
        limits: Limits,
        encrypted_proves: bool,
        background: BackgroundTasks,
        events: Events,
    ) -> None:
        """`send_openid`: have WeChat check that a code is of the user who brings it.

        `encrypted_proves`: take a number of encryptedData for proven, like that of a code.
        """
        self._apps = apps
        self._wechat = wechat
        self._codes = codes
        self._users = users
        self._record = record
        self._sessions = sessions
        self._decryptor = decryptor
        self._encrypted_proves = encrypted_proves
        self._used = used
        self._send_openid = send_openid
        self._limits = limits
        self._background = background
        self._events = events

    async def redeem(self, app: WeChatApp, code: str, openid: str) -> Phone:
        """The number behind a phone code of this user.

        A code that was redeemed before gets the number that was kept, for as
        long as the code would have lived: WeChat charges for each call. Raises
        PhoneCodeInvalid, RateLimited and what WeChat.phone_number raises.
        """
        # Even if the client hangs up: once WeChat answers, the number is paid for, and is kept.
        return await self._background.run_to_completion(self._redeem(app, code, openid))

    async def bind(self, session: Session, code: str) -> User:
        """Give the session's user the number behind a code.

        Raises PhoneTaken, and LoginTooOld for a user who has a number: before the code
        is spent, so that it is still good after a login.
        """
        may_change = await self._may_change(session)
        if not may_change:
            await self._refuse_another(session, than=None)
        phone = await self.redeem(self._apps[session.appid], code, session.openid)
        # The number is kept for the user, also where this session has ended meanwhile.
        user = await self._record.bind_phone(session, phone, proven=True, may_change=may_change)
        self._tell_bound(session, "code")
        return user

    async def bind_encrypted(self, session: Session, encrypted: Encrypted) -> User:
        """The same for a number that came as encryptedData.

        It proves nothing, unless the settings take it for a proof. Each binds once; a
        repeat is answered like the first time, as long as the number is still the user's.
        Raises DecryptFailed, RateLimited and SessionStoreUnavailable too, and LoginTooOld
        for a user who has another number.
        """
        may_change = await self._may_change(session)
        phone = await self._decryptor.open_phone(session, encrypted)
        if not may_change:
            await self._refuse_another(session, than=phone)
        # Even if the client hangs up: what is used must have been of use.
        return await self._background.run_to_completion(
            self._bind_once(session, phone, encrypted, may_change=may_change)
        )

    async def _bind_once(
        self, session: Session, phone: Phone, encrypted: Encrypted, *, may_change: bool
    ) -> User:
        async with self._used.use(session.counted_as, encrypted) as is_first:
            if is_first:
                user = await self._record.bind_phone(
                    session, phone, proven=self._encrypted_proves, may_change=may_change
                )
                self._tell_bound(session, "encrypted_data")
                return user
        known = await self._users.get(session.user_id)
        if known is None or known.phone != phone:
            log.info("decrypt failed: used handle=%s", session.handle)
            raise DecryptFailed(relogin=False)
        return known

    def _tell_bound(self, session: Session, reason: str) -> None:
        self._events.record(
            "phone_bound",
            user=session.user_id,
            handle=session.handle,
            appid=session.appid,
            device=session.device,
            reason=reason,
        )

    async def _may_change(self, session: Session) -> bool:
        age = await self._sessions.login_age(session)
        # A login from the future is a wrong record, and proves nothing.
        return -_CLOCK_ERROR_SECONDS <= age <= FRESH_LOGIN_SECONDS

    async def _refuse_another(self, session: Session, *, than: Phone | None) -> None:
        """Raise LoginTooOld if the user has another number: a first one needs no fresh login."""
        user = await self._users.get(session.user_id)
        if user is not None and user.phone not in (None, than):
            raise LoginTooOld

    async def _redeem(self, app: WeChatApp, code: str, openid: str) -> Phone:
        claim = await self._codes.claim(app.appid, code, openid=openid)
        if isinstance(claim, Phone):
            return claim
        try:
            await self._limits.count_all(_uses(app, openid))
        except ServiceError as error:
            error.data = {**(error.data or {}), "retry": "same_code"}
            await self._codes.release(claim)
            raise
        return await self._ask(claim, app, code, openid)

    async def _give_back(self, app: WeChatApp, openid: str, *limits: LimitName) -> None:
        uses = _uses(app, openid)
        with suppress(SessionStoreUnavailable):
            for limit in limits:
                await self._limits.add(limit, uses[limit], cost=-1)

    async def _ask(self, claim: CodeClaim, app: WeChatApp, code: str, openid: str) -> Phone:
        try:
            phone = await self._wechat.phone_number(
                app, code, openid=openid if self._send_openid else None, client=openid
            )
        except ServiceError as error:
            await self._not_redeemed(claim, app, openid, error)
            raise
        await self._codes.succeed(claim, phone)
        return phone

    async def _not_redeemed(
        self, claim: CodeClaim, app: WeChatApp, openid: str, error: ServiceError
    ) -> None:
        # It costs nothing; whoever makes codes up uses up their own allowance, not everybody's.
        await self._give_back(app, openid, "phone_codes_per_app")
        is_invalid = isinstance(error, PhoneCodeInvalid)
        if not is_invalid and not error.answered:
            # An outage of WeChat's must not end in a day without phone numbers.
            await self._give_back(app, openid, "phone_codes_per_user")
        if not is_invalid:
            # No number came. Unless WeChat has used the code up all the same, it is still good.
            error.data = {**(error.data or {}), "retry": "same_code"}
        # And one that is invalid may be somebody else's, for whom it is still good.
        await self._codes.release(claim)


def _uses(app: WeChatApp, openid: str) -> dict[LimitName, str]:
    """What bringing a phone code to WeChat counts towards."""
    return {
        "phone_codes_per_user": counted_as(app.appid, openid),
        "phone_codes_per_app": app.appid,
    }


def read_phone(info: object, appid: str) -> Phone | None:
    """The number in WeChat's phone object (getPhoneNumber); None if there is none.

    Raises PhoneCodeInvalid for a number that was given to another app.
    """
    if not isinstance(info, dict):
        return None
    country, number = country_code(info.get("countryCode")), info.get("purePhoneNumber")
    if country is None or not isinstance(number, str) or not number:
        return None
    watermark = info.get("watermark")
    if not isinstance(watermark, dict) or watermark.get("appid") != appid:
        raise PhoneCodeInvalid
    return Phone.of(country, number)
