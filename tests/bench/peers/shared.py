"""What every peer in Python answers, and where it finds Redis and WeChat."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    import aiohttp

PORT: Final = int(os.environ.get("PORT", "0"))
REDIS_URL: Final = os.environ.get("REDIS_URL", "")
WECHAT: Final = os.environ.get("WECHAT_API_BASE", "") + "/sns/jscode2session"
APPID: Final = os.environ.get("WECHAT_APPID", "")
SECRET: Final = os.environ.get("WECHAT_SECRET", "")
DATABASE: Final = os.environ.get("DATABASE", "")
TTL: Final = 7200
NICKNAME: Final = "用户ABCDEF"
AVATAR: Final = "/uploads/default-avatar.png"
TEXT: Final = "text/plain"
JSON: Final = "application/json"
REFUSAL: Final = b'{"code":40102,"error":"session_expired"}'
FAILURE: Final = b'{"code":40001,"error":"login_code_invalid"}'

# MiniGate makes a new one for each answer.
_REQUEST_ID: Final = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class User:
    """What a login tells of a user."""

    id: str
    nickname: str
    avatar: str
    phone: str | None
    is_new: bool = False


def anybody(identity: dict[str, Any]) -> User:
    """Without accounts the openid stands in for the id, and nickname and picture are anybody's."""
    return User(identity["openid"][-16:], NICKNAME, AVATAR, None)


def caller_headers(session: dict[str, Any]) -> dict[str, str]:
    """What `/verify` answers for this session."""
    return {
        "Cache-Control": "no-store",
        "X-Request-ID": _REQUEST_ID,
        "X-Auth-Request-User": session["user"],
        "X-Auth-Openid": session["openid"],
        "X-Auth-Appid": session["appid"],
        "X-Auth-Unionid": session["unionid"],
        "X-Session-Expires-In": str(int(session["expires_at"] - time.time())),
    }


def login_headers() -> dict[str, str]:
    """The headers beside the answer to a login."""
    return {"Cache-Control": "no-store", "X-Request-ID": _REQUEST_ID}


def login_answer(sessionid: str, user: User) -> bytes:
    """The answer to a login."""
    return orjson.dumps(
        {
            "code": 0,
            "msg": "ok",
            "data": {
                "sessionid": sessionid,
                "expiresIn": TTL,
                "isNewUser": user.is_new,
                "user": {
                    "id": user.id,
                    "nickname": user.nickname,
                    "avatar": user.avatar,
                    "phone": user.phone,
                },
            },
        }
    )


def new_sessionid() -> str:
    """66 characters, as many as MiniGate's."""
    return secrets.token_urlsafe(49)


def new_session(identity: dict[str, Any], user: User) -> dict[str, Any]:
    """What a peer stores."""
    return {
        "user": user.id,
        "openid": identity["openid"],
        "appid": APPID,
        "unionid": identity.get("unionid", ""),
        "session_key": identity["session_key"],
        "expires_at": time.time() + TTL,
    }


async def code2session(http: aiohttp.ClientSession, code: str) -> dict[str, Any] | None:
    """The one call to WeChat; None when it refuses the code."""
    query = {
        "appid": APPID,
        "secret": SECRET,
        "js_code": code,
        "grant_type": "authorization_code",
    }
    async with http.get(WECHAT, params=query) as reply:
        answer: dict[str, Any] = orjson.loads(await reply.read())
    return answer if "openid" in answer else None
