"""The accounts as WeChat sees them: apps, and people who log in to them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.simulator.codes import Code, CodeBook
from service.simulator.identities import openid_of, unionid_of
from service.simulator.quotas import MinuteQuotas
from service.simulator.session_keys import SessionKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class App:
    """One mini-program; ``platform`` names the open-platform account it is bound to."""

    appid: str
    secret: str
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a redeemed code yields; ``unionid`` is None when the app is unbound."""

    session_key: str
    openid: str
    unionid: str | None


class World:
    """Everything the simulated WeChat remembers. No method waits, so each one is atomic."""

    def __init__(
        self,
        *,
        apps: Iterable[App],
        code_life: float = 300,
        session_key_interval: float = 60,
        session_key_rotation: float = 1.0,
        minute_quota: int = 100,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self.clock = clock
        self.rng = rng = rng or random.SystemRandom()
        self.apps = {app.appid: app for app in apps}
        self.codes = CodeBook(life=code_life, rng=rng)
        self.session_keys = SessionKeys(
            interval=session_key_interval, rotation=session_key_rotation, rng=rng
        )
        self._quotas = MinuteQuotas(limit=minute_quota)

    def log_in(self, *, user: str, appid: str) -> str:
        """Do what wx.login does on the phone: return a new code. ``appid`` must be known."""
        now = self.clock()
        app = self.apps[appid]
        session_key = self.session_keys.at_login(appid=app.appid, user=user, now=now)
        return self.codes.issue(appid=app.appid, user=user, session_key=session_key, now=now).text

    def find_code(self, text: str, *, appid: str) -> Code | None:
        """Return the code, used or not; None when unknown, expired or another app's."""
        return self.codes.find(text, appid=appid, now=self.clock())

    def take_quota(self, user: str) -> bool:
        """Count one exchange; False when the user has had too many in this minute."""
        return self._quotas.take(user, now=self.clock())

    def redeem(self, code: Code) -> Grant | None:
        """Use the code up; None when it was used before."""
        if code.used:
            return None
        code.used = True
        platform = self.apps[code.appid].platform
        return Grant(
            session_key=code.session_key,
            openid=openid_of(appid=code.appid, user=code.user),
            unionid=None if platform is None else unionid_of(platform=platform, user=code.user),
        )
