"""`check`: every setting that cannot be used, and every name that was probably meant for one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from service.cli.language import Text
from service.cli.refusal import FINE, MISUSED

if TYPE_CHECKING:
    from argparse import Namespace

    from service.cli.commands import Commands
    from service.cli.output import Output

_HELP: Final = Text(
    "check every setting, and names that are misspelt", "检查每一项配置，以及拼错的变量名"
)
_DETAILS: Final = Text(
    "Reads the environment, .env and the files they name, as the service does at its start;\n"
    "shows no value. Exit 2 if it could not start with them. Misspelt names alone: exit 0.",
    "与服务启动时一样读取环境变量、.env 及其中指定的文件；不显示任何值。\n"
    "无法用这些配置启动时退出码为 2。仅有拼错的变量名时只作警告，退出码为 0。",
)
_FAULT: Final = re.compile(r"(?P<name>[A-Z_]+(?:, [A-Z_]+)*): (?P<fault>.*)")
_WHAT: Final = Text("it is: {description}", "含义：{description}")
_DEFAULT: Final = Text("; unset: {default}", "；默认值：{default}")
_CURES: Final = {
    "SECRET_KEYS": Text(
        "python -m service keys new prints one", "用 python -m service keys new 生成一个"
    ),
    "WECHAT_APPID": Text(
        "it stands in WeChat's console: 开发管理 → 开发设置; WECHAT_APPS takes several",
        "见微信公众平台：开发管理 → 开发设置；多个小程序用 WECHAT_APPS",
    ),
    "WECHAT_SECRET": Text(
        "it is made in WeChat's console: 开发管理 → 开发设置 → AppSecret",
        "在微信公众平台生成：开发管理 → 开发设置 → AppSecret",
    ),
    "REDIS_URL": Text(
        "redis://[[user]:password@]host:port, of Redis 6.2 or newer",
        "redis://[[user]:password@]host:port，Redis 6.2 或更新版本",
    ),
    "DATABASE_URL": Text(
        "postgresql://user:password@host/database, or sqlite:///users.db for one machine",
        "postgresql://user:password@host/database；只有一台机器时可用 sqlite:///users.db",
    ),
}
"""Of settings that are missing, or out of shape."""
_MEANT: Final = Text(
    "{name} ({place}) is read by nobody: did you mean {meant}?",
    "{name}（{place}）不会被读取：您是否想写 {meant}？",
)
_WARNING: Final = Text("warning: {text}", "警告：{text}")
_MISSPELT: Final = Text("misspelt? {text}", "拼写有误？{text}")
_FINE: Final = Text(
    "All settings can be used ({environment}).", "所有配置均可使用（{environment}）。"
)
_STAND_INS: Final = Text(
    "Not set, so in development stood in for: {names}", "未设置，开发环境下使用替代品：{names}"
)
_ENVIRONMENT: Final = Text("the environment", "环境变量")


class Fault(NamedTuple):
    """Something that the service would not start with."""

    setting: str
    """Its variable; "" where it is about something else."""
    fault: str
    cure: str


class Unknown(NamedTuple):
    """A variable that nobody reads."""

    name: str
    where: str
    meant: str


def add(commands: Commands) -> None:
    """Its arguments."""
    commands.add_json(commands.add("check", _HELP, run, details=_DETAILS))


def run(arguments: Namespace, output: Output) -> int:
    """Exit 2 if the service could not start."""
    from service.config.settings import (  # noqa: PLC0415 # what takes long is not for --help
        ConfigError,
        load_settings,
    )

    unknown = _unknown()
    faults: list[Fault] = []
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    environment = ""
    try:
        settings = load_settings()
        warnings, missing = settings.warnings, settings.missing
        environment = "production" if settings.production else "development"
    except ConfigError as error:
        faults = [_fault(line, output) for line in str(error).splitlines()]
    if arguments.json:
        output.json(
            {
                "ok": not faults,
                "faults": [one._asdict() for one in faults],
                "unknown": [one._asdict() for one in unknown],
                "warnings": warnings,
            }
        )
        return MISUSED if faults else FINE
    for one in faults:
        output.line(f"{one.setting}: {one.fault}" if one.setting else one.fault)
        if one.cure:
            output.line(f"    {one.cure}")
    for name, where, meant in unknown:
        place = where if where == ".env" else output.text(_ENVIRONMENT)
        text = output.text(_MEANT, name=name, place=place, meant=meant)
        output.say(_MISSPELT, text=text)
    for warning in warnings:
        output.say(_WARNING, text=warning)
    if missing:
        output.say(_STAND_INS, names=", ".join(missing))
    if not faults:
        output.say(_FINE, environment=environment)
    return MISUSED if faults else FINE


def _unknown() -> list[Unknown]:
    from service.cli.near_misses import near_misses  # noqa: PLC0415 # as above
    from service.config.settings import given_variables, setting_names  # noqa: PLC0415

    ours = setting_names()
    return [
        Unknown(name, where, meant)
        for where, given in given_variables().items()
        for name, meant in near_misses(given, ours).items()
    ]


def _fault(line: str, output: Output) -> Fault:
    """One line of a ConfigError, with what to do about it."""
    from service.cli.settings_texts import description_of, rule_in  # noqa: PLC0415 # as above

    told = _FAULT.fullmatch(line)
    if told is None:
        return Fault("", rule_in(line, output.language), "")
    name = told["name"].removesuffix("_FILE")
    rule = rule_in(told["fault"], output.language)
    if name in _CURES:
        return Fault(told["name"], rule, output.text(_CURES[name]))
    description, default = description_of(name, output.language)
    cure = output.text(_WHAT, description=description) if description else ""
    if default:
        cure += output.text(_DEFAULT, default=default)
    return Fault(told["name"], rule, cure)
