"""`sessions`: end all that match at once, and count those that live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.cli import times
from service.cli.language import Text
from service.cli.refusal import FAILED, FINE

if TYPE_CHECKING:
    from argparse import Namespace

    from service.cli.admin_access import AdminAccess
    from service.cli.commands import Commands
    from service.cli.output import Output

_HELP: Final = Text("end all sessions that match; count them", "结束所有符合条件的会话；统计会话数")
_END: Final = Text(
    "end all sessions, of one app or device class if named",
    "结束所有会话，可限定小程序或设备类别",
)
_END_DETAILS: Final = Text(
    "Every worker refuses them within two seconds. Users notice nothing: clients log in again.",
    "所有 worker 在两秒内拒绝这些会话。用户无感知：客户端会自动重新登录。",
)
_COUNT: Final = Text("how many sessions of an app live, about", "某个小程序大约有多少有效会话")
_APP: Final = Text("only those of this appid", "只限这个 appid")
_OF_APP: Final = Text("those of this appid", "这个 appid 的会话")
_DEVICE: Final = Text("only those of this device class", "只限这个设备类别")
_BEFORE: Final = Text(
    "only those of logins before: {forms} (now)", "只限在此之前登录的：{forms}（默认为现在）"
)
_ALL: Final = Text("End ALL sessions{which}?", "结束所有会话{which}？")
_OF: Final = Text(" of {names}", "（{names}）")
_NOTHING_DONE: Final = Text("Nothing was done.", "未做任何更改。")
_ENDED: Final = Text(
    "Sessions of logins before {before} are ended; every worker refuses them from {from_} on.",
    "{before} 之前登录的会话已结束；自 {from_} 起所有 worker 都会拒绝。",
)


def add(commands: Commands) -> None:
    """Its commands and their arguments."""
    sessions = commands.group("sessions", _HELP)
    end = sessions.add("end", _END, _end, details=_END_DETAILS)
    end.add_argument("--app", metavar="APPID", help=sessions.text(_APP))
    end.add_argument("--device", help=sessions.text(_DEVICE))
    end.add_argument(
        "--before",
        type=times.past,
        metavar="TIME",
        help=sessions.text(_BEFORE).format(forms=times.FORMS),
    )
    sessions.add_yes(end)
    count = sessions.add("count", _COUNT, _count)
    count.add_argument("--app", metavar="APPID", required=True, help=sessions.text(_OF_APP))
    count.add_argument("--device", default="", help=sessions.text(_DEVICE))
    for one in (end, count):
        sessions.add_json(one)


def _end(arguments: Namespace, output: Output) -> int:
    from service.cli.admin_access import (  # noqa: PLC0415 # what takes long is not for --help
        operator_name,
        with_admin,
    )

    async def end(opened: AdminAccess) -> int:
        ended = await opened.admin.end_sessions(
            by=operator_name(),
            appid=arguments.app,
            device=arguments.device,
            before=arguments.before,
        )
        if arguments.json:
            output.json({"before": ended.before, "holdsFrom": ended.holds_from})
        else:
            output.say(
                _ENDED, before=times.shown(ended.before), from_=times.shown(ended.holds_from)
            )
        return FINE

    names = ", ".join(one for one in (arguments.app, arguments.device) if one)
    if arguments.before:
        names = f"{names} < {times.shown(arguments.before)}".strip()
    which = output.text(_OF, names=names) if names else ""
    if output.confirm(output.text(_ALL, which=which), yes=arguments.yes):
        return with_admin(end)
    output.complain(output.text(_NOTHING_DONE))
    return FAILED


def _count(arguments: Namespace, output: Output) -> int:
    from service.cli.admin_access import with_admin  # noqa: PLC0415 # as above

    async def count(opened: AdminAccess) -> int:
        from service.core.events import HOW_COUNTED  # noqa: PLC0415 # as above

        found = await opened.history.live_sessions(arguments.app, arguments.device)
        if arguments.json:
            output.json({"count": found, "how": HOW_COUNTED})
        else:
            output.line(str(found))
            output.line(HOW_COUNTED)
        return FINE

    return with_admin(count)
