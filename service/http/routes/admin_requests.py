"""What the routes for operators are asked, checked before anything is asked of anybody."""

from __future__ import annotations

import re
import time
import unicodedata
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from service.core.errors import InvalidRequest
from service.core.events import EventName  # noqa: TC001 # pydantic reads it
from service.http.routes.body import Body

if TYPE_CHECKING:
    from service.core.admin import SearchField

_LONGEST_BAN_SECONDS: Final = 100 * 366 * 86400
_FIRST_MILLISECOND: Final = 10**12
"""Of 2001: what is below was meant as seconds."""
_LAST_MILLISECOND: Final = 10**14
_UNSEEN: Final = ("Cc", "Cs", "Zl", "Zp")
"""Control characters, line breaks of all kinds and halves of characters."""


def _in_form(form: str, why: str) -> AfterValidator:
    pattern = re.compile(form, re.ASCII)

    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(why)
        return value

    return AfterValidator(check)


def _plain(value: str) -> str:
    if any(unicodedata.category(one) in _UNSEEN for one in value):
        raise ValueError("must have no control characters or line breaks")
    return value


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _in_future(value: int) -> int:
    now = int(time.time())
    if not now < value < now + _LONGEST_BAN_SECONDS:
        raise ValueError("must be Unix seconds in the future, within a hundred years")
    return value


UserId = Annotated[str, _in_form(r"[\w-]{1,22}", "is no id of a user")]
WeChatId = Annotated[str, _in_form(r"[\w-]{1,64}", "is no id of WeChat's")]
Appid = Annotated[str, _in_form(r"\w{1,64}", "is no appid")]
Device = Annotated[str, _in_form(r"[A-Za-z_]\w{0,63}", "is no device class")]
# In a URL that was not encoded, a plus sign is a space.
PhoneNumber = Annotated[
    str,
    _in_form(r"[+ ]?\d{1,4} \d{4,15}|\d{4,15}", "write 13800000001, or +<country> <number>"),
]
Nickname = Annotated[str, Field(min_length=1, max_length=32), AfterValidator(_plain)]
Reason = Annotated[str, Field(max_length=200), AfterValidator(_plain)]
AccessTokenText = Annotated[str, _in_form(r"[!-~]{1,512}", "is no access_token")]
Place = Annotated[str, _in_form(r"[!-~]{1,200}", "is not what `next` has said")]
"""Where a page of a list begins."""
Milliseconds = Annotated[
    int, Field(ge=_FIRST_MILLISECOND, lt=_LAST_MILLISECOND, description="Unix milliseconds")
]
MostUsers = Annotated[int, BeforeValidator(_number), Field(ge=1, le=200)]
MostEvents = Annotated[int, BeforeValidator(_number), Field(ge=1, le=500)]


class Order(Body):
    """Base of what operators send.

    Unlike other bodies it takes no field that it does not know, and "" for what it
    is: a misspelt `until` would ban for ever, an empty `appid` end the sessions of
    all apps.
    """

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: object) -> object:
        return given


class FindUsers(Order):
    """The query of `GET /admin/users`."""

    id: UserId | None = None
    openid: WeChatId | None = None
    unionid: WeChatId | None = None
    phone: PhoneNumber | None = None
    nickname: Nickname | None = None
    limit: MostUsers = 50
    after: Place | None = None

    @property
    def search(self) -> tuple[SearchField, str]:
        """By what is searched, and for what; raises InvalidRequest unless it is one thing."""
        asked: dict[SearchField, str | None] = {
            "id": self.id,
            "openid": self.openid,
            "unionid": self.unionid,
            "phone": self.phone,
            "nickname": self.nickname,
        }
        given = [(field, value) for field, value in asked.items() if value is not None]
        if len(given) != 1:
            raise InvalidRequest(given[1][0] if given else "id", f"give one of {', '.join(asked)}")
        return given[0]


class Kick(Order):
    """`POST /admin/users/{id}/kick`."""

    appid: Appid | None = None
    device: Device | None = None


class BanUser(Order):
    """`POST /admin/users/{id}/ban`."""

    reason: Reason = ""
    until: Annotated[int, AfterValidator(_in_future)] | None = None


class EndSessions(Order):
    """`POST /admin/sessions/end`."""

    appid: Appid | None = None
    device: Device | None = None
    before: Milliseconds | None = None


class CountSessions(Order):
    """The query of `GET /admin/sessions/count`."""

    appid: Appid
    device: Device | None = None


class FindEvents(Order):
    """The query of `GET /admin/events`."""

    user: UserId | None = None
    event: EventName | None = None
    since: Annotated[Milliseconds, BeforeValidator(_number)] | None = None
    limit: MostEvents = 100
    before: Place | None = None


class DiscardAccessToken(Order):
    """`POST /admin/access-token/discard`."""

    appid: Appid
    token: AccessTokenText = Field(repr=False)


_USER_ID: Final = TypeAdapter(UserId)


def read_user_id(text: str) -> str:
    """The id in a path; raises InvalidRequest for what cannot be one."""
    try:
        return _USER_ID.validate_python(text)
    except ValidationError:
        raise InvalidRequest("id", "is no id of a user") from None
