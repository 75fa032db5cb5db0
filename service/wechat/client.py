"""WeChat's server API, as far as this service calls it."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import TYPE_CHECKING, Any, Final

from service.core.encrypted_data import login_state_signature
from service.core.errors import WeChatUnavailable
from service.core.models import SESSION_KEY_BYTES, WeChatIdentity
from service.core.phone import read_phone
from service.metrics.series import phone_numbers
from service.wechat import errcodes
from service.wechat.http import ErrcodeReturned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.core.errors import ServiceError
    from service.core.models import Phone, WeChatApp
    from service.wechat.access_token import AccessTokens
    from service.wechat.http import WeChatHttp

log = logging.getLogger(__name__)

_PROFILE_SCENE: Final = 1
_CODE2SESSION: Final = "/sns/jscode2session"
_PHONE_NUMBER: Final = "/wxa/business/getuserphonenumber"


class WeChatClient:
    """The WeChat port."""

    def __init__(self, http: WeChatHttp, tokens: AccessTokens) -> None:
        self._http = http
        self._tokens = tokens
        self._openid_refused: set[str] = set()  # appids whose phone codes go without

    async def code2session(
        self, app: WeChatApp, js_code: str, *, client: str | None = None
    ) -> WeChatIdentity:
        """Exchange a `wx.login` code, once: GET /sns/jscode2session. Needs no access_token."""
        query = {
            "appid": app.appid,
            "secret": app.secret,
            "js_code": js_code,
            "grant_type": "authorization_code",
        }
        answer = await self._http.ask(
            app,
            _CODE2SESSION,
            query,
            error_map=errcodes.CODE2SESSION,
            client=client,
        )
        try:
            identity = _identity(answer)
        except WeChatUnavailable:
            self._http.unusable(_CODE2SESSION, "no usable openid and session_key in the answer")
            raise
        self._http.usable(_CODE2SESSION)
        return identity

    async def phone_number(
        self, app: WeChatApp, code: str, *, openid: str | None, client: str | None = None
    ) -> Phone:
        """Redeem a phone code, which WeChat charges for: POST /wxa/business/getuserphonenumber.

        With `openid` WeChat also checks that the code is of that user. Some report that
        it refuses the field: then the code, which it has not looked at, goes again without;
        and if that brings a number, so do this app's others from then on.
        """
        if openid is None or app.appid in self._openid_refused:
            return await self._phone_number(app, {"code": code}, client=client)
        try:
            return await self._phone_number(
                app,
                {"code": code, "openid": openid},
                client=client,
                expected=errcodes.FIELD_REFUSED,
            )
        except ErrcodeReturned:
            phone = await self._phone_number(app, {"code": code}, client=client)
        # Only now: a code at which WeChat balks in any case must not end the check for all.
        if app.appid not in self._openid_refused:
            log.warning("wechat: appid=%s: no openid with phone codes, it is refused", app.appid)
        self._openid_refused.add(app.appid)
        return phone

    async def _phone_number(
        self,
        app: WeChatApp,
        body: Mapping[str, str],
        *,
        client: str | None,
        expected: frozenset[int] = frozenset(),
    ) -> Phone:
        answer = await self._ask_with_token(
            app,
            _PHONE_NUMBER,
            body=body,
            error_map=errcodes.PHONE_NUMBER,
            client=client,
            expected=expected,
        )
        phone_numbers.add(app.appid)
        phone = read_phone(answer.get("phone_info"), app.appid)
        if phone is None:
            self._http.unusable(_PHONE_NUMBER, "no usable phone number in the answer")
            raise WeChatUnavailable
        self._http.usable(_PHONE_NUMBER)
        return phone

    async def session_key_lives(self, app: WeChatApp, openid: str, session_key: bytes) -> bool:
        """Whether WeChat still honours this session_key: GET /wxa/checksession."""
        query = {
            "openid": openid,
            "signature": login_state_signature(session_key),
            "sig_method": "hmac_sha256",
        }
        try:
            await self._ask_with_token(
                app,
                "/wxa/checksession",
                query=query,
                error_map=errcodes.TOKENED,
                expected=errcodes.SESSION_KEY_DEAD,
                client=openid,
            )
        except ErrcodeReturned:
            return False
        return True

    async def nickname_passes(self, app: WeChatApp, openid: str, nickname: str) -> bool:
        """Whether WeChat's content check lets this nickname pass: POST /wxa/msg_sec_check.

        A user whom WeChat has not seen for two hours cannot be checked, and passes.
        """
        body = {
            "version": 2,
            "openid": openid,
            "scene": _PROFILE_SCENE,
            "content": nickname,
            "nickname": nickname,
        }
        try:
            answer = await self._ask_with_token(
                app,
                "/wxa/msg_sec_check",
                body=body,
                error_map=errcodes.TOKENED,
                expected=errcodes.RISKY_TEXT | errcodes.USER_NOT_SEEN,
                client=openid,
            )
        except ErrcodeReturned as returned:
            return returned.errcode in errcodes.USER_NOT_SEEN
        result = answer.get("result")
        # Risky text comes with errcode 0: the suggestion counts.
        return isinstance(result, dict) and result.get("suggest") == "pass"

    async def _ask_with_token(
        self,
        app: WeChatApp,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        error_map: Mapping[int, type[ServiceError]],
        expected: frozenset[int] = frozenset(),
        client: str | None,
    ) -> dict[str, Any]:
        """Ask with the shared access_token, and once more with a new one if it is refused.

        WeChat looks at the token first, so a refused one costs no code.
        """
        token = await self._tokens.get(app)
        try:
            return await self._http.ask(
                app,
                path,
                {**(query or {}), "access_token": token.value},
                body=body,
                error_map=error_map,
                expected=expected | errcodes.TOKEN_REFUSED,
                client=client,
            )
        except ErrcodeReturned as returned:
            if returned.errcode not in errcodes.TOKEN_REFUSED:
                raise
        await self._tokens.discard(app, token)
        token = await self._tokens.get(app)
        return await self._http.ask(
            app,
            path,
            {**(query or {}), "access_token": token.value},
            body=body,
            error_map=error_map,
            expected=expected,
            client=client,
        )


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
    raise WeChatUnavailable


def _session_key(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == SESSION_KEY_BYTES else None
