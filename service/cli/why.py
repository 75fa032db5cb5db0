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
_USER: Final = Text("the user's id: users find tells it", "用户 id：可用 users find 查到")
_AT: Final = Text("about when: {forms} (now)", "大约何时：{forms}（默认为现在）")


def add(commands: Commands) -> None:
    """Its arguments."""
    parser = commands.add("why", _HELP, run)
    parser.add_argument("user", metavar="USER", help=commands.text(_USER))
    parser.add_argument(
        "--at",
        type=times.past,
        metavar="TIME",
        help=commands.text(_AT).format(forms=times.FORMS),
    )
    commands.add_json(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Exit 0."""
    raise NotImplementedError
