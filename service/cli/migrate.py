"""`migrate`: the tables, and phone numbers under the newest key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.cli.language import Text

if TYPE_CHECKING:
    from argparse import Namespace

    from service.cli.commands import Commands
    from service.cli.output import Output

_HELP: Final = Text(
    "make or change the tables, and put phone numbers under the first of SECRET_KEYS",
    "建表或升级表结构，并用 SECRET_KEYS 的第一个密钥重新加密手机号",
)
_CHECK: Final = Text(
    "change nothing; exit 1 if migrate is due", "不做任何更改；如需执行 migrate，退出码为 1"
)
_SQL: Final = Text(
    "change nothing; print the statements that would run", "不做任何更改；打印将要执行的 SQL"
)


def add(commands: Commands) -> None:
    """Its arguments."""
    parser = commands.add("migrate", _HELP, run)
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--check", action="store_true", help=commands.text(_CHECK))
    either.add_argument("--sql", action="store_true", help=commands.text(_SQL))


def run(arguments: Namespace, output: Output) -> int:
    """Exit 1 if something is due, did not work, or a number opens under no key."""
    from service.cli import migration  # noqa: PLC0415 # what takes long is not for --help

    if arguments.check:
        return migration.check()
    return migration.print_statements(output) if arguments.sql else migration.migrate()
