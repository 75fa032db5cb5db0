"""Users, sessions and events as rows of a table. As JSON they are what the admin API tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.cli.language import Text
from service.cli.times import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.cli.output import Output
    from service.core.admin import UserDetails
    from service.core.events import Event
    from service.core.models import User

_USER_HEAD: Final = (
    Text("id", "用户"),
    Text("nickname", "昵称"),
    Text("phone", "手机号"),
    Text("ban", "封禁"),
    Text("created", "创建时间"),
)
_SESSION_HEAD: Final = (
    Text("handle", "会话"),
    Text("appid", "小程序"),
    Text("device", "设备类别"),
    Text("login", "登录时间"),
    Text("seconds left", "剩余秒数"),
    Text("state", "状态"),
)
_EVENT_HEAD: Final = (
    Text("time", "时间"),
    Text("event", "事件"),
    Text("user", "用户"),
    Text("appid", "小程序"),
    Text("device", "设备类别"),
    Text("reason", "原因"),
    Text("by", "操作者"),
    Text("address", "地址"),
    Text("request", "请求"),
)
_IDENTITY_HEAD: Final = (
    Text("appid", "小程序"),
    Text("openid", "openid"),
    Text("unionid", "unionid"),
)
_BANNED: Final = Text("banned", "已封禁")
_KEY_LOST: Final = Text(
    "{state}, its key has left SECRET_KEYS", "{state}，密钥已不在 SECRET_KEYS 中"
)
_NO_SESSIONS: Final = Text("No session.", "没有会话。")
_NO_EVENTS: Final = Text("No event.", "没有事件。")


def print_users(users: Sequence[User], output: Output) -> None:
    """A row each."""
    output.table(
        _USER_HEAD,
        [
            (
                one.id,
                one.nickname,
                one.phone.masked if one.phone else "",
                output.text(_BANNED) if one.banned else "",
                shown(one.created_at * 1000),
            )
            for one in users
        ],
    )


def print_details(details: UserDetails, output: Output) -> None:
    """The user, what WeChat calls them, their sessions and what happened last."""
    print_users([details.user], output)
    output.line()
    output.table(
        _IDENTITY_HEAD, [(one.appid, one.openid, one.unionid or "") for one in details.identities]
    )
    output.line()
    if details.sessions:
        output.table(
            _SESSION_HEAD,
            [
                (
                    one.handle,
                    one.appid,
                    one.device,
                    shown(one.issued_at),
                    str(one.expires_in),
                    output.text(_KEY_LOST, state=one.state) if one.key_lost else one.state,
                )
                for one in details.sessions
            ],
        )
    else:
        output.say(_NO_SESSIONS)
    output.line()
    print_events(details.events, output)


def print_events(events: Sequence[Event], output: Output) -> None:
    """A row each, the newest first."""
    if not events:
        output.say(_NO_EVENTS)
        return
    output.table(
        _EVENT_HEAD,
        [
            (
                shown(one.at),
                one.event,
                one.user,
                one.appid,
                one.device,
                one.reason,
                one.by,
                one.address,
                one.request_id,
            )
            for one in events
        ],
    )
