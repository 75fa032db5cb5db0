"""What every peer in Python answers, and where it finds Redis and WeChat."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    import aiohttp

PORT: Final = int(os.environ.get("PORT", "0"))
REDIS_URL: Final = os.environ.get("REDIS_URL", "")
WECHAT: Final = os.environ.get("WECHAT_API_BASE", "") + "/sns/jscode2session"
APPID: Final = os.environ.get("WECHAT_APPID", "")
SECRET: Final = os.environ.get("WECHAT_SECRET", "")
TTL: Final = 7200
TEXT: Final = "text/plain"
JSON: Final = "application/json"
REFUSAL: Final = b'{"code":40102,"error":"session_expired"}'
FAILURE: Final = b'{"code":40001,"error":"login_code_invalid"}'

# MiniGate makes a new one for each answer.
_REQUEST_ID: Final = "0123456789abcdef"


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


def login_answer(sessionid: str, user: str) -> bytes:
    """The answer to a login. A peer has no accounts, so nickname and picture are anybody's."""
    return orjson.dumps(
        {
            "code": 0,
            "msg": "ok",
            "data": {
                "sessionid": sessionid,
                "expiresIn": TTL,
                "isNewUser": False,
                "user": {
                    "id": user,
                    "nickname": "用户ABCDEF",
                    "avatar": "/uploads/default-avatar.png",
                    "phone": None,
                },
            },
        }
    )


def new_sessionid() -> str:
    """66 characters, as many as MiniGate's."""
    return secrets.token_urlsafe(49)


def new_session(identity: dict[str, Any]) -> dict[str, Any]:
    """What a peer stores: the openid stands in for an account."""
    return {
        "user": user_of(identity["openid"]),
        "openid": identity["openid"],
        "appid": APPID,
        "unionid": identity.get("unionid", ""),
        "session_key": identity["session_key"],
        "expires_at": time.time() + TTL,
    }


def user_of(openid: str) -> str:
    """An id for the user, as long as MiniGate's."""
    return openid[-16:]


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
