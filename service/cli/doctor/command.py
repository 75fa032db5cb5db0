"""`doctor`: its arguments, and the order in which it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.cli import signals
from service.cli.language import Text
from service.cli.refusal import FAILED, FINE

if TYPE_CHECKING:
    from argparse import Namespace

    from service.cli.commands import Commands
    from service.cli.output import Output

_HELP: Final = Text(
    "ask Redis, the database, WeChat and the avatar store, and say what to do",
    "实际检查 Redis、数据库、微信和头像存储，并说明如何处理",
)
_DETAILS: Final = Text(
    "It writes nothing but marks of its own that are gone a second later, and asks for WeChat's\n"
    "access_token in the mode that leaves the present one as it is. Exit 1 if anything is wrong;\n"
    "notes and warnings alone: 0. It may be run beside the service, by the same user.",
    "只写入自己的、一秒后即消失的标记；获取 access_token 的方式不会影响正在使用的那个。\n"
    "有任何错误时退出码为 1；只有说明和注意时为 0。可在服务运行时由同一用户执行。",
)
_SUMMARY: Final = Text("{wrong} wrong, {warnings} warnings.", "{wrong} 项有误，{warnings} 项注意。")


def add(commands: Commands) -> None:
    """Its arguments."""
    commands.add_json(commands.add("doctor", _HELP, run, details=_DETAILS))


def run(arguments: Namespace, output: Output) -> int:
    """Exit 1 if anything is wrong."""
    import asyncio  # noqa: PLC0415 # what takes long is not for --help
    import logging  # noqa: PLC0415

    from service.cli.doctor import examination  # noqa: PLC0415
    from service.cli.start import read_settings  # noqa: PLC0415

    settings, _ = read_settings()
    logging.getLogger().setLevel(logging.CRITICAL)  # everything is told as a finding
    signals.clean_up_when_interrupted()
    found = asyncio.run(examination.examine(settings, output, quiet=arguments.json))
    states = [one.state for findings in found.values() for one in findings]
    if arguments.json:
        output.json(
            {
                "ok": "wrong" not in states,
                "findings": [
                    examination.as_json(name, one, output)
                    for name, many in found.items()
                    for one in many
                ],
            }
        )
    else:
        output.say(_SUMMARY, wrong=states.count("wrong"), warnings=states.count("warning"))
    return FAILED if "wrong" in states else FINE
