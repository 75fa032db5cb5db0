"""Where a change of SECRET_KEYS stands: what each key still seals, and what comes next."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from service.cli import signals
from service.cli.language import Text
from service.cli.refusal import FAILED, FINE, Refused
from service.cli.start import settings_with
from service.core.errors import ServiceError
from service.core.fault_cause import name_fault
from service.redis.errors import FAULTS
from service.redis.errors import describe as describe_redis
from service.sql.sealed_phones import count_by_key as count_phones
from service.stores.keyring import Keyring
from service.stores.sealed_sessions import count_by_key as count_sessions
from service.wiring import open_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.cli.output import Output
    from service.config.settings import Settings

_SAMPLE: Final = 2000
"""Sessions that are looked at, at most."""

Step = Literal["none", "lost", "added_or_old", "migrate", "wait"]

_HEAD: Final = (
    Text("key", "密钥"),
    Text("phone numbers", "手机号"),
    Text("live sessions (a sample)", "有效会话（抽样）"),
)
_KEY: Final = Text("{number} of SECRET_KEYS", "SECRET_KEYS 第 {number} 个")
_SEALS: Final = Text("{number} of SECRET_KEYS, which seals", "SECRET_KEYS 第 {number} 个，用于加密")
_NONE_OF_THEM: Final = Text("none of SECRET_KEYS", "不在 SECRET_KEYS 中")
_MAY_NOT_LOOK: Final = Text("not allowed to look", "无权查看")
_NOT_ASKED: Final = Text("could not be asked", "无法查询")
_REDIS_AWAY: Final = Text(
    "Redis could not be asked for sessions ({why}); python -m service doctor says what to do.",
    "无法向 Redis 查询会话（{why}）；处理方法见 python -m service doctor。",
)
_DATABASE_AWAY: Final = Text(
    "The database cannot be asked ({why}); python -m service doctor says what to do.",
    "无法查询数据库（{why}）；处理方法见 python -m service doctor。",
)
_NEXT: Final[Mapping[Step, Text]] = {
    "none": Text(
        "No change is under way. To begin: python -m service keys new, put what it prints at the\n"
        "END of SECRET_KEYS (old,new), restart every instance, and run this again.",
        "目前没有进行中的更换。开始更换：执行 python -m service keys new，\n"
        "把输出放到 SECRET_KEYS 的最后（旧,新），重启每个实例，然后再次运行本命令。",
    ),
    "lost": Text(
        "Some phone numbers open under none of the keys: put the lost key back, at the end of\n"
        "SECRET_KEYS, and restart every instance. Until then such a number shows as null.",
        "部分手机号无法用任何密钥解开：把丢失的密钥放回 SECRET_KEYS 的最后，\n"
        "并重启每个实例。在此之前，这样的手机号显示为 null。",
    ),
    "added_or_old": Text(
        "Only the first key seals anything. If the others are\n"
        "  new: step 1 is done. Move the new one to the FRONT (new,old), restart every instance,\n"
        "       and run this again.\n"
        "  old: step 4{wait}: drop them from SECRET_KEYS and restart every instance.\n"
        "       Then python -m service migrate has to exit 0.",
        "目前只有第一个密钥加密了数据。如果其余密钥是\n"
        "  新的：第 1 步已完成。把新密钥移到最前（新,旧），重启每个实例，\n"
        "        再次运行本命令。\n"
        "  旧的：第 4 步{wait}：从 SECRET_KEYS 中去掉它们并重启每个实例。\n"
        "        之后 python -m service migrate 应以 0 退出。",
    ),
    "migrate": Text(
        "Step 2 is done where every instance was restarted with these keys. Step 3: run\n"
        "  python -m service migrate\n"
        "and this again.",
        "若每个实例都已用这些密钥重启，则第 2 步已完成。第 3 步：执行\n"
        "  python -m service migrate\n"
        "然后再次运行本命令。",
    ),
    "wait": Text(
        "Step 3 is done. Step 4: wait until no session of the old keys is left, {seconds} s at\n"
        "most after the last instance was restarted, and run this again.",
        "第 3 步已完成。第 4 步：等到旧密钥不再有会话\n"
        "（最后一个实例重启后最多 {seconds} 秒），然后再次运行本命令。",
    ),
}
_AFTER: Final = Text(
    ", {seconds} s after the last restart with them behind",
    "（在它们移到后面并重启 {seconds} 秒之后）",
)


class Sealed(NamedTuple):
    """How much each key of the ring seals, by its place, 0 for the first; None: no key of it."""

    keys: int
    phones: Counter[int | None]
    sessions: Counter[int | None] | None
    """None where nobody could look."""
    why: str = ""
    """That nobody could: what Redis said, "" where this user of it may not."""

    @property
    def step(self) -> Step:
        """Where the change stands."""
        sessions = self.sessions or Counter()
        if self.phones[None]:
            return "lost"
        if any(place for place in self.phones if self.phones[place]):
            return "migrate"
        if any(place for place in sessions if sessions[place]):
            return "wait"
        return "none" if self.keys == 1 else "added_or_old"


def rotate(output: Output, *, as_json: bool) -> int:
    """Say how far it is; returns the exit code. Raises Refused."""
    settings = settings_with("SECRET_KEYS", "DATABASE_URL", "REDIS_URL")
    logging.getLogger().setLevel(logging.CRITICAL)  # what fails is told below
    signals.clean_up_when_interrupted()
    sealed = asyncio.run(_count(settings))
    longest = (
        settings.session_max_age if settings.session_renewal == "sliding" else settings.session_ttl
    )
    if as_json:
        output.json(
            {
                "step": sealed.step,
                "keys": [
                    {
                        "place": None if place is None else place + 1,
                        "phoneNumbers": sealed.phones[place],
                        "sessions": None if sealed.sessions is None else sealed.sessions[place],
                    }
                    for place in (*range(sealed.keys), None)
                ],
            }
        )
    else:
        _print(sealed, longest, output)
    return FAILED if sealed.step == "lost" else FINE


async def _count(settings: Settings) -> Sealed:
    ring = [key.get_secret_value() for key in settings.secret_keys]
    phone_keys = Keyring(ring, purpose="phone")
    async with open_parts(settings) as parts:
        assert parts.redis is not None and parts.database is not None  # noqa: S101, PT018 # seen above
        phones: Counter[int | None] = Counter()
        try:
            for key, count in (await parts.database.read(count_phones)).items():
                phones[phone_keys.place_of(key)] += count
        except Exception as fault:  # noqa: BLE001 # a dying connection can raise anything
            why = name_fault(fault)
            text = Text(_DATABASE_AWAY.en.format(why=why), _DATABASE_AWAY.zh.format(why=why))
            raise Refused(text, code=FAILED) from None
        session_keys = Keyring(ring, purpose="session")
        try:
            sessions = await count_sessions(parts.redis, session_keys, most=_SAMPLE)
        except (*FAULTS, ServiceError) as fault:
            return Sealed(len(ring), phones, None, describe_redis(fault))
    return Sealed(len(ring), phones, sessions)


def _print(sealed: Sealed, longest: int, output: Output) -> None:
    def row(place: int | None, name: str) -> tuple[str, str, str]:
        if sealed.sessions is None:
            sessions = output.text(_NOT_ASKED if sealed.why else _MAY_NOT_LOOK)
        else:
            sessions = str(sealed.sessions[place])
        return name, str(sealed.phones[place]), sessions

    rows = [
        row(place, output.text(_KEY if place else _SEALS, number=place + 1))
        for place in range(sealed.keys)
    ]
    rows.append(row(None, output.text(_NONE_OF_THEM)))
    output.table(_HEAD, rows)
    if sealed.why:
        output.say(_REDIS_AWAY, why=sealed.why)
    output.line()
    unseen = "" if sealed.sessions is not None else output.text(_AFTER, seconds=longest)
    for line in output.text(_NEXT[sealed.step], wait=unseen, seconds=longest).splitlines():
        output.line(line)
