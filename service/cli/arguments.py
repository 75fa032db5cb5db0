"""Which commands there are, and what they take. Imports nothing that takes long."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from service import __version__
from service.cli import check, events, keys, migrate, sessions, simulate, users, why
from service.cli.commands import Commands, complete, parser_options
from service.cli.doctor import command as doctor
from service.cli.language import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.cli.language import Language

PROGRAM: Final = "python -m service"
_ABOUT: Final = Text(
    "MiniGate, the login and session service of WeChat mini-programs. Without a command it serves.",
    "MiniGate：微信小程序的登录与会话服务。不带命令时直接提供服务。",
)
_EXIT_CODES: Final = Text(
    "exit codes: 0 fine; 1 something was found or did not work; 2 the settings or the arguments\n"
    "cannot be used; 130 Ctrl-C. Settings come from the environment and .env; --help needs none.",
    "退出码：0 正常；1 发现问题或操作失败；2 配置或参数有误；130 被 Ctrl-C 中断。\n"
    "配置来自环境变量和 .env；查看帮助不需要任何配置。",
)
_SERVE: Final = Text("serve until SIGTERM (the default)", "提供服务，直到收到 SIGTERM（默认命令）")
_VERSION: Final = Text("show the version and exit", "显示版本并退出")
_OF_ARGPARSE: Final = {
    "usage: ": "用法：",
    "positional arguments": "参数",
    "options": "选项",
    "%(prog)s: error: %(message)s\n": "%(prog)s：错误：%(message)s\n",
    "unrecognized arguments: %s": "无法识别的参数：%s",
    "the following arguments are required: %s": "缺少参数：%s",
    "one of the arguments %s is required": "必须给出其中之一：%s",
    "not allowed with argument %s": "不能与参数 %s 同时使用",
    "invalid choice: %(value)r (choose from %(choices)s)": "无效的值：%(value)r（%(choices)s）",
    "invalid %(type)s value: %(value)r": "无效的值：%(value)r",
    "argument %(argument_name)s: %(message)s": "参数 %(argument_name)s：%(message)s",
    "expected one argument": "需要一个值",
    "expected at most one argument": "最多一个值",
    "expected at least one argument": "至少需要一个值",
    "ignored explicit argument %r": "此选项不接受值：%r",
}


def parse(arguments: Sequence[str], language: Language) -> argparse.Namespace:
    """What they say, with `run` that does it; `command` is None where none is named.

    Raises SystemExit: 0 after --help and --version, 2 for what cannot be understood.
    """
    _speak(language)
    return build(language).parse_args(arguments)


def build(language: Language) -> argparse.ArgumentParser:
    """The parser with every command."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=_ABOUT.in_(language),
        epilog=_EXIT_CODES.in_(language),
        **parser_options(),
    )
    complete(parser, language)
    parser.add_argument(
        "--version",
        action="version",
        version=f"MiniGate {__version__}",
        help=_VERSION.in_(language),
    )
    commands = Commands(parser, language, "command")
    commands.add("serve", _SERVE, None)
    for one in (migrate, check, doctor, users, sessions, events, why, keys, simulate):
        one.add(commands)
    return parser


def _speak(language: Language) -> None:
    """Have argparse itself say what it says in this language: it looks its texts up by `_`.

    A text that is not in the table, or a Python that looks them up otherwise, stays in English.
    """
    table = _OF_ARGPARSE if language == "zh" else {}
    vars(argparse)["_"] = lambda text: table.get(text, text)
