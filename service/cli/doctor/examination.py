"""Makes every check in turn, and tells of each as it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.cli.doctor.avatar_checks import avatar_checks
from service.cli.doctor.findings import WORDS, Check, Finding, note, worst, wrong
from service.cli.doctor.machine_checks import machine_checks
from service.cli.doctor.redis_checks import redis_checks
from service.cli.doctor.sql_checks import sql_checks
from service.cli.doctor.wechat_checks import wechat_checks
from service.cli.language import Text
from service.wiring import open_parts

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.config.settings import Settings
    from service.wiring import Parts

_NOT_SET: Final = Text(
    "{name} is not set: development has a stand-in for it", "未设置 {name}：开发环境使用替代品"
)
_LINE: Final = Text("{title} ... ", "{title} ... ")
_STATE: Final = Text("  {state}: {text}", "  {state}：{text}")
_CURE: Final = Text("    do: {cure}", "    处理：{cure}")
_BROKEN: Final = Text("could not be looked at ({why})", "检查未能完成（{why}）")
_TELL_US: Final = Text(
    "this is a fault of doctor's: please report it", "这是 doctor 自身的问题：请反馈"
)
_LEAD: Final = frozenset({"redis", "database"})
"""Checks without which those whose names begin so make no sense."""


async def examine(settings: Settings, output: Output, *, quiet: bool) -> dict[str, list[Finding]]:
    """Every check in turn, told as it is made unless `quiet`; what it found, by its name."""
    found: dict[str, list[Finding]] = {}
    failed: tuple[str, ...] = ()
    async with open_parts(settings) as parts:
        for check in _checks(settings, parts):
            if check.name.startswith(failed or "\0"):
                continue
            if not quiet:
                output.begin(output.text(_LINE, title=output.text(check.title)))
            findings = found[check.name] = await _made(check)
            if not quiet:
                _tell(findings, output)
            if check.name in _LEAD and worst(findings) == "wrong":
                failed = (*failed, check.name)
    return found


def _checks(settings: Settings, parts: Parts) -> list[Check]:
    return [
        *(redis_checks(parts.redis, settings) if parts.redis else _absent("REDIS_URL", "redis")),
        *(
            sql_checks(parts.database, settings)
            if parts.database
            else _absent("DATABASE_URL", "database")
        ),
        *(wechat_checks(parts.wechat, settings) or _absent("WECHAT_APPID", "wechat")),
        *avatar_checks(parts.avatars, settings),
        *machine_checks(settings),
    ]


def _absent(variable: str, name: str) -> list[Check]:
    async def look() -> list[Finding]:
        return [note(_NOT_SET, name=variable)]

    return [Check(name, Text(variable, variable), look)]


async def _made(check: Check) -> list[Finding]:
    try:
        return await check.look()
    except Exception as fault:  # noqa: BLE001 # a bug in one must not keep the others from being told
        return [wrong(_BROKEN, _TELL_US, why=type(fault).__name__)]


def _tell(findings: list[Finding], output: Output) -> None:
    """The rest of the line that was begun, and a line for each that is not fine."""
    fine = [output.text(one.text, **one.values) for one in findings if one.state == "ok"]
    output.line(", ".join([output.text(WORDS[worst(findings)]), *fine]))
    for one in findings:
        if one.state != "ok":
            text = output.text(one.text, **one.values)
            output.say(_STATE, state=output.text(WORDS[one.state]), text=text)
            if one.cure:
                output.say(_CURE, cure=output.text(one.cure, **one.values))


def as_json(name: str, one: Finding, output: Output) -> dict[str, str]:
    """A finding of the check of that name, for programs."""
    told = {"check": name, "state": one.state, "text": output.text(one.text, **one.values)}
    if one.cure:
        told["cure"] = output.text(one.cure, **one.values)
    return told
