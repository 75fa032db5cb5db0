"""The table of commands, which each command is added to with what it takes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from service.cli.language import OPTION, Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.cli.language import Language
    from service.cli.output import Output

    Run = Callable[[argparse.Namespace, Output], int]

_COMMANDS: Final = Text("commands", "命令")
_COMMAND: Final = Text("COMMAND", "命令")
_HELP: Final = Text("show this and exit", "显示帮助并退出")
_LANGUAGE: Final = Text(
    "language of what is printed; unset: LC_ALL, LC_MESSAGES or LANG",
    "输出语言；不指定时取决于 LC_ALL、LC_MESSAGES 或 LANG",
)
_JSON: Final = Text("print one JSON object", "输出一个 JSON 对象")
_YES: Final = Text("do not ask first", "不再确认，直接执行")


class Commands:
    """Where each command says what it takes."""

    def __init__(self, parent: argparse.ArgumentParser, language: Language, name: str) -> None:
        """`name`: under what the chosen one is found in the result."""
        self._language = language
        self._parsers = parent.add_subparsers(
            title=self.text(_COMMANDS), dest=name, metavar=self.text(_COMMAND)
        )

    def text(self, text: Text) -> str:
        """A text of the help; a % in it is no format of argparse's."""
        return text.in_(self._language).replace("%", "%%")

    def add(
        self, name: str, about: Text, run: Run | None, *, details: Text | None = None
    ) -> argparse.ArgumentParser:
        """A command; `run` does it. `details`: more than fits into the list of all."""
        described = self.text(about) + (f"\n\n{self.text(details)}" if details else "")
        parser = self._parsers.add_parser(
            name, help=self.text(about), description=described, **parser_options()
        )
        complete(parser, self._language)
        if run is not None:
            parser.set_defaults(run=run)
        return parser

    def group(self, name: str, about: Text) -> Commands:
        """A command that has commands of its own, one of which has to be named."""
        parser = self.add(name, about, None)
        inner = Commands(parser, self._language, f"{name}_command")
        inner._parsers.required = True
        return inner

    def add_json(self, parser: argparse.ArgumentParser) -> None:
        """`--json`."""
        parser.add_argument("--json", action="store_true", help=self.text(_JSON))

    def add_yes(self, parser: argparse.ArgumentParser) -> None:
        """`--yes`."""
        parser.add_argument("--yes", action="store_true", help=self.text(_YES))


def parser_options() -> dict[str, Any]:
    """What every parser is made with."""
    return {
        "add_help": False,
        "allow_abbrev": False,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def complete(parser: argparse.ArgumentParser, language: Language) -> None:
    """The options that every command takes."""
    parser.add_argument("-h", "--help", action="help", help=_HELP.in_(language))
    parser.add_argument(
        OPTION, choices=("en", "zh"), default=argparse.SUPPRESS, help=_LANGUAGE.in_(language)
    )
