"""What a mini-program is told of a user's profile."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

ANONYMOUS = "微信用户"
"""The nickname of everybody since November 2022."""

GREY_AVATAR = (
    "https://thirdwx.qlogo.cn/mmopen/vi_32/POgEwh4mIHO4nibH0KlMECNjjGxQUq24ZEaGT4poC6icRiccVGKSy"
    "XwibcPq4BWmiaIGuG1icwxaQX6grC9VemZoJ8rg/132"
)
"""And the avatar."""


class Profile(NamedTuple):
    """What the user lets be seen; gender and region have not been told since October 2021."""

    nickname: str = ANONYMOUS
    avatar_url: str = GREY_AVATAR

    def fields(self) -> dict[str, Any]:
        """Return the fields in WeChat's order."""
        return {
            "nickName": self.nickname,
            "gender": 0,
            "language": "zh_CN",
            "city": "",
            "province": "",
            "country": "",
            "avatarUrl": self.avatar_url,
        }

    def raw_data(self) -> str:
        """Return the text that is signed and sent beside the encrypted payload."""
        return orjson.dumps(self.fields()).decode()

    def payload(
        self, *, appid: str, timestamp: int, openid: str | None = None, unionid: str | None = None
    ) -> dict[str, Any]:
        """Return what is encrypted; ids only in the manner of the old getUserInfo."""
        return {
            **({} if openid is None else {"openId": openid}),
            **self.fields(),
            **({} if unionid is None else {"unionId": unionid}),
            "watermark": {"timestamp": timestamp, "appid": appid},
        }
