"""`users`: find them, see their sessions, end those, keep somebody out, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.cli import times
from service.cli.language import Text

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from service.cli.commands import Commands
    from service.cli.output import Output

_HELP: Final = Text(
    "find users, see their sessions; kick, ban, unban, delete",
    "查找用户、查看会话；踢出、封禁、解封、删除",
)
_FIND: Final = Text("find users by one of five fields", "按五个字段之一查找用户")
_BY: Final = {
    "id": Text("the user's id", "用户 id"),
    "openid": Text("WeChat's name for them in one mini-program", "在某个小程序中的 openid"),
    "unionid": Text("WeChat's name for them in all of them", "在所有小程序中的 unionid"),
    "phone": Text("13800000001, or '+<country> <number>'", "13800000001，或 '+<国家码> <号码>'"),
    "nickname": Text("what the nickname begins with", "昵称的开头"),
}
_LIMIT: Final = Text("how many at most (50)", "最多多少个（50）")
_AFTER: Final = Text("go on behind this, which the last page has named", "从上一页给出的位置继续")
_SHOW: Final = Text(
    "account, identities, live sessions and the last events", "账号、身份、会话和最近的事件"
)
_KICK: Final = Text("end the sessions of a user", "结束某个用户的会话")
_BAN: Final = Text(
    "refuse a user's logins and end their sessions", "封禁用户：拒绝其登录并结束其会话"
)
_UNBAN: Final = Text("let a user log in again", "解除封禁")
_DELETE: Final = Text("delete a user with everything kept of them", "删除用户及其全部数据")
_USER: Final = Text("the user's id", "用户 id")
_APP: Final = Text("only those of this appid", "只限这个 appid")
_DEVICE: Final = Text("only those of this device class", "只限这个设备类别")
_REASON: Final = Text("for operators; the user does not see it", "给运维看的原因；用户看不到")
_UNTIL: Final = Text(
    "when it ends by itself: 2h, 7d, 2026-12-01T08:00, a Unix time",
    "何时自动解除：2h、7d、2026-12-01T08:00 或 Unix 时间",
)


def add(commands: Commands) -> None:
    """Its commands and their arguments."""
    users = commands.group("users", _HELP)
    find = users.add("find", _FIND, run)
    one = find.add_mutually_exclusive_group(required=True)
    for field, about in _BY.items():
        one.add_argument(f"--{field}", help=users.text(about))
    find.add_argument("--limit", type=int, default=50, help=users.text(_LIMIT))
    find.add_argument("--after", default="", help=users.text(_AFTER))
    users.add_json(find)
    users.add_json(_of_user(users, users.add("show", _SHOW, run)))
    kick = _of_user(users, users.add("kick", _KICK, run))
    kick.add_argument("--app", metavar="APPID", help=users.text(_APP))
    kick.add_argument("--device", help=users.text(_DEVICE))
    ban = _of_user(users, users.add("ban", _BAN, run))
    ban.add_argument("--reason", default="", help=users.text(_REASON))
    ban.add_argument("--until", type=times.future, help=users.text(_UNTIL))
    delete = _of_user(users, users.add("delete", _DELETE, run))
    for dangerous in (kick, ban, delete):
        users.add_yes(dangerous)
        users.add_json(dangerous)
    users.add_json(_of_user(users, users.add("unban", _UNBAN, run)))


def _of_user(commands: Commands, parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("user", metavar="USER", help=commands.text(_USER))
    return parser


def run(arguments: Namespace, output: Output) -> int:
    """Exit 1 where nobody was found, or nothing done."""
    from service.cli import user_acts  # noqa: PLC0415 # what takes long is not for --help

    return user_acts.ACTS[arguments.users_command](arguments, output)
