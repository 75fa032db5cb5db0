"""The avatar store: by a picture that is written, read and deleted."""

from __future__ import annotations

import base64
import secrets
from functools import partial
from typing import TYPE_CHECKING, Final

from service.cli.doctor.findings import Check, Finding, ok, wrong
from service.cli.language import Text
from service.core.errors import UserStoreUnavailable
from service.core.fault_cause import name_fault

if TYPE_CHECKING:
    from service.config.settings import Settings
    from service.core.ports import AvatarStore

_PICTURE: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_FINE: Final = Text("wrote, read and deleted a picture", "图片写入、读取、删除均正常")
_FAILED: Final = Text("{what} failed at {place}: {why}", "在 {place} {what}失败：{why}")
_WRITING: Final = Text("writing", "写入")
_READING: Final = Text("reading", "读取")
_DELETING: Final = Text("deleting", "删除")
_OTHER: Final = Text(
    "{place} gave back something else than was written", "{place} 返回的内容与写入的不同"
)
_FOLDER: Final = Text(
    "the folder of AVATAR_STORE has to be one that the user of the service may write to, on a disk"
    " with room",
    "AVATAR_STORE 的目录必须存在且服务用户可写，磁盘要有空间",
)
_BUCKET: Final = Text(
    "compare bucket, AWS_ENDPOINT and AWS_REGION, and what AWS_ACCESS_KEY_ID may do: it has to"
    " put, get and delete objects",
    "核对 bucket、AWS_ENDPOINT、AWS_REGION 和 AWS_ACCESS_KEY_ID 的权限：需能上传、读取、删除",
)


def avatar_checks(store: AvatarStore, settings: Settings) -> list[Check]:
    """One."""
    title = Text("Avatar store", "头像存储")
    return [Check("avatars", title, partial(_try, store, settings.avatar_store))]


async def _try(store: AvatarStore, place: str) -> list[Finding]:
    cure = _FOLDER if place.startswith("file:") else _BUCKET
    name = f"doctor-{secrets.token_hex(8)}.png"
    what = _WRITING
    try:
        await store.put(name, _PICTURE)
        what = _READING
        found = await store.get(name)
        what = _DELETING
        await store.delete(name)
    except UserStoreUnavailable as error:
        text = Text(_FAILED.en.replace("{what}", what.en), _FAILED.zh.replace("{what}", what.zh))
        why = name_fault(error.__cause__ or error)
        return [wrong(text, cure, place=place, why=why)]
    return [ok(_FINE) if found == _PICTURE else wrong(_OTHER, cure, place=place)]
