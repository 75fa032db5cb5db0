"""Every error an answer can carry, with its wire code, HTTP status and texts.

    ServiceError
    ├── InvalidRequest 40000          ├── NotFound 40400
    ├── LoginCodeInvalid 40001        ├── MethodNotAllowed 40500
    ├── LoginCodeUsed 40002           ├── PhoneTaken 40900
    ├── PhoneCodeInvalid 40003        ├── BodyTooLarge 41300
    ├── UnknownAppid 40004            ├── UnsupportedMediaType 41500
    ├── DecryptFailed 40005           ├── WeChatRateLimited 42901
    ├── NicknameError (400)           ├── IdempotencyKeyReused 42200
    │   ├── NicknameEmpty 40006       ├── RateLimited 42900
    │   ├── NicknameTooLong 40007     ├── InternalError 50000
    │   ├── NicknameInvisible 40008   ├── WeChatUnavailable 50200
    │   ├── NicknameRejected 40009    ├── SessionStoreUnavailable 50300
    │   └── NicknameUnusable 40010    ├── UserStoreUnavailable 50301
    ├── SessionError (401)            ├── ServiceUnavailable 50302
    │   ├── SessionMissing 40100      ├── WeChatMisconfigured 50310
    │   ├── SessionReplaced 40101     ├── WeChatBusy 50311
    │   ├── SessionExpired 40102      └── PicturesBusy 50312
    │   ├── SessionKicked 40103
    │   ├── SessionMalformed 40104
    │   └── LoginTooOld 40105
    ├── UserBanned 40300
    ├── WeChatUserBlocked 40301
    ├── OperatorTokenRefused 40302
    ├── UserNotFound 40401
    └── RequestTimeout 40800

A 401 says one thing only: this session is dead, log in again. A dependency
that does not answer is a 5xx, because clients meet a 401 with a new login and
would turn a short outage into a login storm.

Of an error a client gets code, name, text, `data` and `retry_after`, nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


LONGEST_NICKNAME: Final = 32
"""Code points; a family emoji is seven of them."""


class ServiceError(Exception):
    """Base of all errors with a place in the wire's error table."""

    code: ClassVar[int]
    error: ClassVar[str]
    status: ClassVar[int]
    zh: ClassVar[str]
    en: ClassVar[str]
    sent: bool = True
    """False where WeChat cannot have seen what it was to be asked."""
    answered: bool = False
    """True where WeChat has looked at what it was asked, and refused it."""
    errcode: str = ""
    """WeChat's, if that is why and it is a known one; else "other"; empty where it is not why."""
    user: str = ""
    """Id of the user whom it kept out, for the operator alone; "" where nobody is known."""

    def __init__(
        self, *, data: Mapping[str, Any] | None = None, retry_after: int | None = None
    ) -> None:
        """`data`: what the client may know beside the text. `retry_after`: seconds."""
        super().__init__(self.error)
        self.data = data
        self.retry_after = retry_after

    @classmethod
    def again(cls, data: Mapping[str, Any] | None, retry_after: int | None) -> Self:
        """The error with what it carried when it was first answered."""
        error = cls.__new__(cls)
        ServiceError.__init__(error, data=data, retry_after=retry_after)
        return error

    def for_another(self) -> Self:
        """A copy for one more caller: what is added to it is not told to the others."""
        error = type(self).again(self.data, self.retry_after)
        vars(error).update(vars(self))
        return error


class InvalidRequest(ServiceError):
    """A field of the request is missing or out of shape; `field` names it, `why` says how."""

    code, error, status = 40000, "invalid_request", 400
    zh, en = "请求参数有误：{field}", "The request is not valid: {field}"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(data={"field": field, "why": why})
        self.zh = type(self).zh.format(field=field)  # type: ignore[misc] # one text per instance
        self.en = f"{type(self).en.format(field=field)}: {why}"  # type: ignore[misc] # as above


class _NewCodeNeeded(ServiceError):
    """The code is of no further use: the client has to call `wx.login` again."""

    def __init__(self) -> None:
        super().__init__(data={"retry": "new_code"})


class LoginCodeInvalid(_NewCodeNeeded):
    """WeChat does not know the code: wrong, older than five minutes, or another app's (40029)."""

    code, error, status = 40001, "login_code_invalid", 400
    zh, en = "登录凭证无效，请重新登录", "The login code is not valid; call wx.login again"


class LoginCodeUsed(_NewCodeNeeded):
    """The code has been exchanged already (40163) or is being exchanged right now."""

    code, error, status = 40002, "login_code_used", 400
    zh, en = (
        "登录凭证已被使用，请重新登录",
        "The login code has been used; call wx.login again",
    )


class PhoneCodeInvalid(ServiceError):
    """WeChat does not know the phone code: wrong, old, used, a login code, or another app's."""

    code, error, status = 40003, "phone_code_invalid", 400
    zh, en = (
        "手机号授权已失效，请重新点击按钮",
        "The phone code is not valid; press the button again",
    )


class DecryptFailed(ServiceError):
    """Encrypted data that cannot be opened; why stays in the log.

    `relogin`: whether a new login, and so a new session_key, can help.
    """

    code, error, status = 40005, "decrypt_failed", 400
    zh, en = "数据解密失败，请重试", "The encrypted data could not be opened"

    def __init__(self, *, relogin: bool) -> None:
        super().__init__(data={"relogin": relogin})


class UnknownAppid(ServiceError):
    """The request names a mini-program that is not configured; found before the code is spent."""

    code, error, status = 40004, "unknown_appid", 400
    zh, en = "未知的小程序 appid", "This appid is not configured here"


class NicknameError(ServiceError):
    """A nickname that is refused; the text says why."""

    status = 400

    def __init__(self) -> None:
        super().__init__(data={"field": "nickname"})


class NicknameEmpty(NicknameError):
    """Nothing is left of it without white space."""

    code, error = 40006, "nickname_empty"
    zh, en = "昵称不能为空", "The nickname is empty"


class NicknameTooLong(NicknameError):
    """It has more code points than LONGEST_NICKNAME."""

    code, error = 40007, "nickname_too_long"
    zh, en = (
        f"昵称不能超过 {LONGEST_NICKNAME} 个字符",
        f"The nickname is longer than {LONGEST_NICKNAME} characters",
    )


class NicknameInvisible(NicknameError):
    """It has characters that cannot be seen, by which one user could pass for another."""

    code, error = 40008, "nickname_invisible"
    zh, en = "昵称含有不可见的字符", "The nickname has characters that cannot be seen"


class NicknameRejected(NicknameError):
    """WeChat's content check does not let it pass (msg_sec_check)."""

    code, error = 40009, "nickname_rejected"
    zh, en = "昵称含有违规内容，请修改", "The nickname does not pass WeChat's content check"


class NicknameUnusable(NicknameError):
    """It is WeChat's name for everybody, or has marks piled up over what stands around it."""

    code, error = 40010, "nickname_unusable"
    zh, en = "该昵称不可用，请换一个", "This nickname cannot be used; choose another one"


class SessionError(ServiceError):
    """The session is dead, and only a new login helps."""

    status = 401


class SessionMissing(SessionError):
    """The request carries no session id."""

    code, error = 40100, "session_missing"
    zh, en = "请先登录", "Log in first"


class SessionReplaced(SessionError):
    """A newer login took over; told only to the holder of the id that it replaced.

    `data`: `at`, Unix seconds of the newer login, and `device`, its device class.
    """

    code, error = 40101, "session_replaced"
    zh, en = "您的账号已在其他设备登录", "Your account has logged in on another device"

    def __init__(self, *, at: int, device: str) -> None:
        super().__init__(data={"at": at, "device": device})


class SessionExpired(SessionError):
    """Unknown, expired or logged out: not told apart, so that guessing teaches nothing."""

    code, error = 40102, "session_expired"
    zh, en = "登录已过期，请重新登录", "The session has expired; log in again"


class SessionKicked(SessionError):
    """An operator ended the session. `data`: `at`, Unix seconds."""

    code, error = 40103, "session_kicked"
    zh, en = "您已被管理员下线", "An operator has ended your session"

    def __init__(self, *, at: int) -> None:
        super().__init__(data={"at": at})


class SessionMalformed(SessionError):
    """Not an id this service can have issued; never looked up."""

    code, error = 40104, "session_malformed"
    zh, en = "登录状态无效，请重新登录", "This is not a session id of ours; log in again"


class LoginTooOld(SessionError):
    """The session is good, but the change wants a login of the last five minutes."""

    code, error = 40105, "login_too_old"
    zh, en = "为了您的账号安全，请重新登录后再试", "This change wants a fresh login; log in again"


class UserBanned(ServiceError):
    """An operator shut this user out.

    `data`: `at` and `until`, Unix seconds; `until` is null where it does not end by itself.
    """

    code, error, status = 40300, "user_banned", 403
    zh, en = "您的账号已被封禁", "Your account has been banned"

    def __init__(self, *, at: int, until: int | None) -> None:
        super().__init__(data={"at": at, "until": until})


class OperatorTokenRefused(ServiceError):
    """A route for operators or other back ends, asked without its token."""

    code, error, status = 40302, "operator_token_refused", 403
    zh, en = "令牌无效", "This route needs its own token"


class WeChatUserBlocked(ServiceError):
    """WeChat rates the user as a high risk and refuses the login (40226)."""

    code, error, status = 40301, "wechat_user_blocked", 403
    zh, en = "微信判定该账号存在风险，无法登录", "WeChat has blocked this user from logging in"


class NotFound(ServiceError):
    """No such route."""

    code, error, status = 40400, "not_found", 404
    zh, en = "接口不存在", "There is no such route"


class UserNotFound(ServiceError):
    """An operator names a user whom nobody knows, or who was deleted."""

    code, error, status = 40401, "user_not_found", 404
    zh, en = "用户不存在", "There is no such user"


class MethodNotAllowed(ServiceError):
    """The route exists, not for this method."""

    code, error, status = 40500, "method_not_allowed", 405
    zh, en = "不支持的请求方法", "This route does not take that method"


class RequestTimeout(ServiceError):
    """The request did not arrive in time."""

    code, error, status = 40800, "request_timeout", 408
    zh, en = "请求发送超时", "The request did not arrive in time"


class BodyTooLarge(ServiceError):
    """The body, or the header block, is over its cap."""

    code, error, status = 41300, "body_too_large", 413
    zh, en = "请求内容过大", "The request is too large"


class UnsupportedMediaType(ServiceError):
    """The body is not of a type that the route reads."""

    code, error, status = 41500, "unsupported_media_type", 415
    zh, en = "请求内容的格式不受支持", "This route does not read that type of body"


class PhoneTaken(ServiceError):
    """The phone number is another account's, which is never taken over silently."""

    code, error, status = 40900, "phone_taken", 409
    zh, en = "该手机号已绑定其他账号", "This phone number belongs to another account"

    def __init__(self, *, owner: str) -> None:
        super().__init__()
        self.owner = owner


class IdempotencyKeyReused(_NewCodeNeeded):
    """The Idempotency-Key came with another request before (draft-ietf-httpapi-idempotency-key).

    By then the code may be spent: a new request wants a new code and a new key.
    """

    code, error, status = 42200, "idempotency_key_reused", 422
    zh, en = (
        "Idempotency-Key 已用于另一个请求",
        "This Idempotency-Key came with another request before",
    )


class RateLimited(ServiceError):
    """More than a limit of this service allows. `data`: `limit`, its name."""

    code, error, status = 42900, "rate_limited", 429
    sent = False
    zh, en = "操作过于频繁，请稍后再试", "Too many requests; try again later"

    def __init__(self, limit: str, *, retry_after: int) -> None:
        """`retry_after`: whole seconds until one more is allowed."""
        super().__init__(data={"limit": limit}, retry_after=retry_after)


class WeChatRateLimited(ServiceError):
    """WeChat asks for fewer logins (45011 for one user, 45009 for the app).

    `sent` is False where it was not asked again, so that the code may be used later.
    """

    code, error, status = 42901, "wechat_rate_limited", 429
    zh, en = "登录过于频繁，请稍后再试", "WeChat asks to slow down; try again later"

    def __init__(self, *, retry_after: int = 60, sent: bool = True) -> None:
        """`retry_after`: both limits are counted by the minute or longer."""
        data = None if sent else {"retry": "same_code"}
        super().__init__(data=data, retry_after=retry_after)
        self.sent = sent


class InternalError(ServiceError):
    """A fault of ours; the log has it under the request id."""

    code, error, status = 50000, "internal", 500
    zh, en = "服务内部错误", "An internal error occurred"


class WeChatUnavailable(_NewCodeNeeded):
    """WeChat timed out, broke off or answered nonsense; the code may be spent.

    `sent` is False where WeChat cannot have seen the code, so that it may be used again.
    """

    code, error, status = 50200, "wechat_unavailable", 502
    zh, en = "微信服务暂不可用，请稍后再试", "WeChat is not available; try again later"

    def __init__(self, *, sent: bool = True, retry_after: int | None = None) -> None:
        super().__init__()
        self.sent = sent
        self.retry_after = retry_after
        if not sent:
            self.data = {"retry": "same_code"}


class SessionStoreUnavailable(ServiceError):
    """Redis did not answer in time, or with what cannot be the answer."""

    code, error, status = 50300, "session_store_unavailable", 503
    zh, en = "会话服务暂不可用，请稍后再试", "The session store is not available; try again"

    def __init__(self, reason: str | None = None) -> None:
        """`reason`: a word for probes."""
        super().__init__(data={"reason": reason} if reason else None, retry_after=1)


class UserStoreUnavailable(ServiceError):
    """The user database or the avatar store did not answer in time."""

    code, error, status = 50301, "user_store_unavailable", 503
    zh, en = "用户服务暂不可用，请稍后再试", "The user store is not available; try again"

    def __init__(self) -> None:
        super().__init__(retry_after=1)


class ServiceUnavailable(ServiceError):
    """The answer would have taken longer than the server lets a request take."""

    code, error, status = 50302, "service_unavailable", 503
    zh, en = "服务繁忙，请稍后再试", "The service is too busy to answer; try again"

    def __init__(self) -> None:
        super().__init__(retry_after=1)


class WeChatMisconfigured(ServiceError):
    """WeChat refuses this service itself: appid, secret, IP list, permissions. For the operator."""

    code, error, status = 50310, "wechat_misconfigured", 503
    zh, en = "登录服务配置有误，请联系管理员", "Login is misconfigured; tell the operator"


class WeChatBusy(ServiceError):
    """As many exchanges as allowed wait for WeChat already; the code has not been sent."""

    code, error, status = 50311, "wechat_busy", 503
    sent = False
    zh, en = "登录人数过多，请稍后再试", "Too many logins are waiting for WeChat; try again"

    def __init__(self) -> None:
        super().__init__(data={"retry": "same_code"}, retry_after=1)


class PicturesBusy(ServiceError):
    """As many uploaded pictures as may wait are waiting to be decoded already."""

    code, error, status = 50312, "pictures_busy", 503
    zh, en = "上传头像的人太多，请稍后再试", "Too many pictures are being uploaded; try again"

    def __init__(self) -> None:
        super().__init__(retry_after=2)


def error_classes(root: type[ServiceError] = ServiceError) -> dict[int, type[ServiceError]]:
    """Every class of the error table below `root`, by its wire code."""
    found: dict[int, type[ServiceError]] = {}
    for child in root.__subclasses__():
        if "code" in vars(child):
            found[child.code] = child
        found.update(error_classes(child))
    return found
