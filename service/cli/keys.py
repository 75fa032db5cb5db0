"""`keys`: a new one, and the rotation of SECRET_KEYS step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.cli.language import Text
from service.cli.refusal import FINE

if TYPE_CHECKING:
    from argparse import Namespace

    from service.cli.commands import Commands
    from service.cli.output import Output

_BYTES: Final = 48
_HELP: Final = Text(
    "make a key; guide through a change of SECRET_KEYS", "生成密钥；引导更换 SECRET_KEYS"
)
_NEW: Final = Text(
    "print a fresh random key, for SECRET_KEYS and tokens",
    "输出一个新的随机密钥，用于 SECRET_KEYS 和各种令牌",
)
_ROTATE: Final = Text(
    "say what is sealed by which key, and what to do next; changes nothing",
    "显示各密钥加密了多少数据，以及下一步做什么；不做任何更改",
)
_DETAILS: Final = Text(
    "A key is retired in four steps (docs/operate.md): 1. the new one at the end, 2. the new\n"
    "one in front, 3. migrate, 4. drop the old one. Run this after each. Exit 1 if a phone number\n"
    "opens under none of the keys.",
    "更换密钥分四步（docs/operate.zh-CN.md）：1. 新密钥放在最后，2. 新密钥移到最前，\n"
    "3. migrate，4. 去掉旧密钥。每一步之后运行一次。若有手机号无法用任何密钥解开，退出码为 1。",
)


def add(commands: Commands) -> None:
    """Its commands and their arguments."""
    keys = commands.group("keys", _HELP)
    keys.add("new", _NEW, _new)
    keys.add_json(keys.add("rotate", _ROTATE, _rotate, details=_DETAILS))


def _new(_arguments: Namespace, output: Output) -> int:
    import secrets  # noqa: PLC0415 # as below

    output.line(secrets.token_urlsafe(_BYTES))
    return FINE


def _rotate(arguments: Namespace, output: Output) -> int:
    from service.cli.rotation import rotate  # noqa: PLC0415 # what takes long is not for --help

    return rotate(output, as_json=arguments.json)
