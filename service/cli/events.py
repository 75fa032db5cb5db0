"""`events`: what happened to sessions and users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from service.cli import times
from service.cli.language import Text
from service.cli.refusal import FINE

if TYPE_CHECKING:
    from argparse import Namespace

    from service.cli.admin_access import AdminAccess
    from service.cli.commands import Commands
    from service.cli.output import Output

_HELP: Final = Text(
    "what happened to sessions and users, the newest first", "会话与用户的事件，最新的在前"
)
_USER: Final = Text("only those of this user", "只限这个用户 id")
_EVENT: Final = Text("only those of this name: {names}", "只限这种事件：{names}")
_SINCE: Final = Text("only those since: {forms}", "只限此后的：{forms}")
_LIMIT: Final = Text("how many at most (100)", "最多多少条（100）")


def add(commands: Commands) -> None:
    """Its arguments."""
    from service.core.events import EventName  # noqa: PLC0415 # it imports nothing further

    names = get_args(EventName)
    parser = commands.add("events", _HELP, run)
    parser.add_argument("--user", default="", help=commands.text(_USER))
    parser.add_argument(
        "--event",
        default="",
        choices=names,
        metavar="EVENT",
        help=commands.text(_EVENT).format(names=", ".join(names)),
    )
    parser.add_argument(
        "--since",
        type=times.past,
        default=0,
        metavar="TIME",
        help=commands.text(_SINCE).format(forms=times.FORMS),
    )
    parser.add_argument("--limit", type=int, default=100, help=commands.text(_LIMIT))
    commands.add_json(parser)


def run(arguments: Namespace, output: Output) -> int:
    """Exit 0, also where there is none."""
    from service.cli import records  # noqa: PLC0415 # what takes long is not for --help
    from service.cli.admin_access import with_admin  # noqa: PLC0415
    from service.http.routes.admin_views import event_view  # noqa: PLC0415

    async def tell(opened: AdminAccess) -> int:
        found = await opened.history.find(
            user=arguments.user,
            event=arguments.event,
            since=arguments.since,
            limit=arguments.limit,
        )
        if arguments.json:
            output.json({"events": [event_view(one) for one in found]})
        else:
            records.print_events(found, output)
        return FINE

    return with_admin(tell)
