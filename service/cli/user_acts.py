"""What the commands of `users` do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from service.cli import records
from service.cli.admin_access import operator_name, with_admin
from service.cli.language import Text
from service.cli.refusal import FAILED, FINE
from service.core.admin import SearchField
from service.http.routes.admin_views import account_view, details_view, page_view

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping

    from service.cli.admin_access import AdminAccess
    from service.cli.output import Output

_NOBODY: Final = Text("No such user.", "没有这样的用户。")
_MORE: Final = Text("There are more: --after {next}", "还有更多：--after {next}")
_REALLY_KICK: Final = Text("End the sessions of user {user}?", "结束用户 {user} 的会话？")
_REALLY_BAN: Final = Text("Ban user {user}?", "封禁用户 {user}？")
_REALLY_DELETE: Final = Text(
    "Delete user {user}? There is no way back.", "删除用户 {user}？此操作无法撤销。"
)
_NOTHING_DONE: Final = Text("Nothing was done.", "未做任何更改。")
_ENDED: Final = Text("Sessions ended: {ended}.", "已结束会话：{ended}。")
_BANNED: Final = Text(
    "User {user} is banned; sessions ended: {ended}.", "用户 {user} 已封禁；已结束会话：{ended}。"
)
_UNBANNED: Final = Text("User {user} may log in again.", "用户 {user} 可以重新登录。")
_DELETED: Final = Text("User {user} is deleted.", "用户 {user} 已删除。")


def _find(arguments: Namespace, output: Output) -> int:
    field: SearchField = next(
        one for one in get_args(SearchField) if getattr(arguments, one) is not None
    )

    async def find(opened: AdminAccess) -> int:
        page = await opened.admin.find(
            field, getattr(arguments, field), limit=arguments.limit, after=arguments.after
        )
        if arguments.json:
            output.json(page_view(page))
        elif page.users:
            records.print_users(page.users, output)
            if page.next:
                output.say(_MORE, next=page.next)
        else:
            output.say(_NOBODY)
        return FINE if page.users else FAILED

    return with_admin(find)


def _show(arguments: Namespace, output: Output) -> int:
    async def show(opened: AdminAccess) -> int:
        details = await opened.admin.show(arguments.user)
        if arguments.json:
            output.json(details_view(details))
        else:
            records.print_details(details, output)
        return FINE

    return with_admin(show)


def _kick(arguments: Namespace, output: Output) -> int:
    async def kick(opened: AdminAccess) -> int:
        ended = await opened.admin.kick(
            arguments.user, by=operator_name(), appid=arguments.app, device=arguments.device
        )
        _tell(arguments, output, _ENDED, {"ended": ended}, ended=ended)
        return FINE

    return with_admin(kick) if _confirmed(arguments, output, _REALLY_KICK) else FAILED


def _ban(arguments: Namespace, output: Output) -> int:
    async def ban(opened: AdminAccess) -> int:
        user, ended = await opened.admin.ban(
            arguments.user, by=operator_name(), reason=arguments.reason, until=arguments.until
        )
        result = {"user": account_view(user), "ended": ended}
        _tell(arguments, output, _BANNED, result, user=user.id, ended=ended)
        return FINE

    return with_admin(ban) if _confirmed(arguments, output, _REALLY_BAN) else FAILED


def _unban(arguments: Namespace, output: Output) -> int:
    async def unban(opened: AdminAccess) -> int:
        user = await opened.admin.unban(arguments.user, by=operator_name())
        _tell(arguments, output, _UNBANNED, {"user": account_view(user)}, user=user.id)
        return FINE

    return with_admin(unban)


def _delete(arguments: Namespace, output: Output) -> int:
    async def delete(opened: AdminAccess) -> int:
        await opened.admin.delete(arguments.user, by=operator_name())
        _tell(arguments, output, _DELETED, {"deleted": True}, user=arguments.user)
        return FINE

    return with_admin(delete) if _confirmed(arguments, output, _REALLY_DELETE) else FAILED


def _confirmed(arguments: Namespace, output: Output, question: Text) -> bool:
    yes = output.confirm(output.text(question, user=arguments.user), yes=arguments.yes)
    if not yes:
        output.complain(output.text(_NOTHING_DONE))
    return yes


def _tell(
    arguments: Namespace, output: Output, text: Text, result: dict[str, object], **values: object
) -> None:
    if arguments.json:
        output.json(result)
    else:
        output.say(text, **values)


ACTS: Final[Mapping[str, Callable[[Namespace, Output], int]]] = {
    "find": _find,
    "show": _show,
    "kick": _kick,
    "ban": _ban,
    "unban": _unban,
    "delete": _delete,
}
"""By the command."""
