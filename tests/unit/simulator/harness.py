"""Whole requests to a simulator over one client, and what its answers should be."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import warnings
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from pydantic import SecretStr

from service.simulator.app import create_app
from service.simulator.endpoints import ENDPOINTS
from service.simulator.settings import AppEntry, SimulatorSettings
from tests.support.running import forget

with warnings.catch_warnings():
    # It imports the legacy half of websockets, which warns; nothing here uses it.
    warnings.simplefilter("ignore", DeprecationWarning)
    from sanic_testing.reusable import ReusableClient  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from httpx import Headers

PATH = "/sns/jscode2session"
TOKEN = "/cgi-bin/token"
STABLE_TOKEN = "/cgi-bin/stable_token"
PHONE = "/wxa/business/getuserphonenumber"
CHECK_SESSION = "/wxa/checksession"
RESET_KEY = "/wxa/resetusersessionkey"
TEXT_CHECK = "/wxa/msg_sec_check"
APPID = "wx00000000000000a1"
SECRET = "0123456789abcdef0123456789abcdef"
SISTER_APPID = "wx00000000000000a2"
UNBOUND_APPID = "wx00000000000000b1"
CREDENTIALS = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET}

RID = r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}"
HINT = r"hint: \[[-_0-9A-Za-z]{16}\]"
NOT_LATEST = (
    "invalid credential, access_token is invalid or not latest, could get access_token by "
    r"getStableAccessToken, more details at https:\/\/mmbizurl.cn\/s\/JtxxFh33r"
)
"""As it stands on the wire."""

START = 1_800_000_000.0


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def seeded(seed: int = 7) -> random.Random:
    return random.Random(seed)


def make_settings(**overrides: Any) -> SimulatorSettings:
    """Two apps of one open-platform account, and one that is bound to none."""
    secret = SecretStr(SECRET)
    apps = (
        AppEntry(appid=APPID, secret=secret, platform="acme"),
        AppEntry(appid=SISTER_APPID, secret=secret, platform="acme"),
        AppEntry(appid=UNBOUND_APPID, secret=secret),
    )
    return SimulatorSettings(**{"apps": apps, **overrides})


def counters(**calls: Any) -> dict[str, Any]:
    """Return what /sim/stats shows: nought but for what is told by path."""
    nought = {"total": 0, "errcodes": {}, "repeatedCodes": 0}
    expected = {path: {**nought, **calls.get(path, {})} for path in ENDPOINTS}
    repeated = sum(endpoint["repeatedCodes"] for endpoint in expected.values())
    return {"calls": expected, "repeatedCodes": repeated}


def with_query(path: str, **query: str | None) -> str:
    """Return a path with its query; None leaves a parameter out."""
    told = {key: value for key, value in query.items() if value is not None}
    return f"{path}?{urlencode(told)}"


def target(**overrides: str | None) -> str:
    """Return the exchange's path and query; None leaves a parameter out."""
    query = {
        "appid": APPID,
        "secret": SECRET,
        "js_code": "0unknown",
        "grant_type": "authorization_code",
        **overrides,
    }
    return with_query(PATH, **query)


def decrypt(sealed: dict[str, str], session_key: str) -> bytes:
    """Decrypt as a server does; ValueError if the key is another one."""
    vector = b64decode(sealed["iv"], validate=True)
    decryptor = Cipher(AES128(b64decode(session_key)), CBC(vector)).decryptor()
    padded = decryptor.update(b64decode(sealed["encryptedData"], validate=True))
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(padded + decryptor.finalize()) + unpadder.finalize()


def assert_wxa_refused(answer: Answer, errcode: int, text: str) -> None:
    """Check every byte of a /cgi-bin/ or /wxa/ error but the noise of its rid and hint."""
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    expected = re.escape(f'{{"errcode":{errcode},"errmsg":"{text} rid: ').replace("HINT", HINT)
    assert re.fullmatch(expected + RID + r'"\}', answer.body.decode()), answer.body


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Headers
    body: bytes
    downloaded: int
    """Bytes of the body before it was unpacked."""

    def json(self) -> Any:
        return orjson.loads(self.body)


class Client:
    """A simulator, served by sanic-testing's client, and what tests ask of it."""

    def __init__(self, clock: Clock, **settings: Any) -> None:
        self.clock = clock
        self.app = create_app(settings=make_settings(**settings), clock=clock, rng=seeded())
        # Rewriting the framework's methods takes longer than most tests do.
        self.app.config.TOUCHUP = False
        # The client would draw a port that may be taken: bind a free one instead.
        sock = socket.create_server(("127.0.0.1", 0))
        self.loop = asyncio.new_event_loop()
        self._http = ReusableClient(
            self.app,
            host="127.0.0.1",
            port=sock.getsockname()[1],
            loop=self.loop,
            server_kwargs={"sock": sock},
        )
        self._http.run()

    def close(self) -> None:
        self._http.stop()
        self.loop.close()
        forget(self.app)

    def call(self, method: str, uri: str, **kwargs: Any) -> Answer:
        _, response = getattr(self._http, method)(uri, gather_request=False, **kwargs)
        return Answer(
            response.status_code,
            response.headers,
            response.content,
            response.num_bytes_downloaded,
        )

    def get(self, uri: str, **kwargs: Any) -> Answer:
        return self.call("get", uri, **kwargs)

    def delete(self, uri: str) -> Answer:
        return self.call("delete", uri)

    def post(self, uri: str, body: Any) -> Answer:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return self.call("post", uri, content=content)

    def log_in(self, user: str = "alice", appid: str = APPID) -> str:
        code = self.post("/sim/login", {"user": user, "appid": appid}).json()["code"]
        assert isinstance(code, str)
        return code

    def exchange(self, code: str | None = None, **overrides: str | None) -> Answer:
        return self.get(target(**{"js_code": code or self.log_in(), **overrides}))

    def errcode(self, code: str | None = None, **overrides: str | None) -> int:
        """Exchange and return the errcode; 0 for success."""
        errcode = self.exchange(code, **overrides).json().get("errcode", 0)
        assert isinstance(errcode, int)
        return errcode

    def plain(self, **overrides: str | None) -> Answer:
        return self.get(with_query(TOKEN, **{**CREDENTIALS, **overrides}))

    def plain_token(self, appid: str = APPID) -> str:
        token = self.plain(appid=appid).json()["access_token"]
        assert isinstance(token, str)
        return token

    def stable(self, *, force: bool = False, **overrides: Any) -> Answer:
        return self.post(STABLE_TOKEN, {**CREDENTIALS, "force_refresh": force, **overrides})

    def token(self, appid: str = APPID) -> str:
        token = self.stable(appid=appid).json()["access_token"]
        assert isinstance(token, str)
        return token

    def press(self, user: str = "alice", appid: str = APPID, **body: Any) -> Any:
        """Press the button that asks for the phone number."""
        return self.post("/sim/phone", {"user": user, "appid": appid, **body}).json()

    def look_up(self, code: Any = None, *, token: str | None = None, **body: Any) -> Answer:
        """Exchange a phone code."""
        code = self.press()["code"] if code is None else code
        uri = with_query(PHONE, access_token=token or self.token())
        return self.post(uri, {"code": code, **body})

    def errcode_with(self, token: str) -> int:
        """Use a token on a code that is no good: 40029 says that the token is."""
        errcode = self.look_up("nonsense", token=token).json()["errcode"]
        assert isinstance(errcode, int)
        return errcode

    def identify(self, user: str = "alice", appid: str = APPID) -> Any:
        """Log in and return what the exchange yields."""
        return self.exchange(self.log_in(user, appid), appid=appid).json()

    def current_key(self, user: str = "alice", appid: str = APPID) -> str:
        keys = self.app.ctx.world.session_keys
        key = keys.current(appid=appid, user=user, now=self.clock.now)
        assert key is not None
        return key

    def fault(self, kind: str, **params: Any) -> None:
        assert self.post("/sim/faults", {"kind": kind, **params}).status == 200

    def active_faults(self) -> list[dict[str, Any]]:
        active = self.get("/sim/faults").json()["active"]
        assert isinstance(active, list)
        return active
