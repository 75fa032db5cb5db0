"""`why`: why somebody was logged out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.cli import times
from service.cli.language import Text

if TYPE_CHECKING:
    from argparse import Namespace

    from service.cli.commands import Commands
    from service.cli.output import Output

_HELP: Final = Text("why a user was logged out", "某个用户为什么被登出")
_DETAILS: Final = Text(
    "Tells every end of a session that the kept events know of, the newest first; with --at those\n"
    "within ten minutes of it, or else the nearest one. Exit 1 if none is known.",
    "列出所保留的事件中该用户会话的每一次结束，最新的在前；\n"
    "指定 --at 时只列出前后十分钟内的，没有则列出最近的一次。若一次也没有，退出码为 1。",
)
_USER: Final = Text("the user's id: users find tells it", "用户 id：可用 users find 查到")
_AT: Final = Text("about when: {forms}", "大约何时：{forms}")


def add(commands: Commands) -> None:
    """Its arguments."""
    parser = commands.add("why", _HELP, run, details=_DETAILS)
    parser.add_argument("user", metavar="USER", help=commands.text(_USER))
    parser.add_argument(
        "--at",
        type=times.past,
        metavar="TIME",
        help=commands.text(_AT).format(forms=times.FORMS),
    )
    commands.add_json(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Exit 1 where nothing is known."""
    from service.cli.session_ends import tell_why  # noqa: PLC0415 # what takes long is not for --help

    return tell_why(output, user=arguments.user, at=arguments.at, as_json=arguments.json)
