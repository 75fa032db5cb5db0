"""The accounts as WeChat sees them: apps, and people who log in to them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.simulator.state.access_tokens import AccessTokens
from service.simulator.state.codes import (
    IssuedCodes,
    LoginCode,
    PhoneCode,
    login_code_text,
    phone_code_text,
)
from service.simulator.state.identities import openid_of, unionid_of
from service.simulator.state.phones import Phones
from service.simulator.state.quotas import DAY, Quotas
from service.simulator.state.session_keys import SessionKeys

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.simulator.settings import SimulatorSettings

_RESETS_OF_AN_APP = 60_000
_RESETS_OF_A_USER = 5


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


@dataclass(frozen=True, slots=True)
class Visit:
    """The last time a user opened an app."""

    appid: str
    user: str
    at: float


class World:
    """Everything the simulated WeChat remembers. No method awaits, so each one is atomic."""

    def __init__(
        self,
        settings: SimulatorSettings,
        *,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self.clock = clock
        self.rng = rng = rng or random.SystemRandom()
        self.apps = {
            entry.appid: App(entry.appid, entry.secret.get_secret_value(), entry.platform)
            for entry in settings.apps
        }
        self.codes: IssuedCodes[LoginCode] = IssuedCodes(life=settings.code_life_seconds)
        self.phone_codes: IssuedCodes[PhoneCode] = IssuedCodes(life=settings.code_life_seconds)
        self.session_keys = SessionKeys(
            interval=settings.session_key_interval_seconds,
            rotation=settings.session_key_rotation,
            life=settings.session_key_life_seconds,
            rng=rng,
        )
        self.tokens = AccessTokens(
            life=settings.token_life_seconds, overlap=settings.token_overlap_seconds, rng=rng
        )
        self.phones = Phones()
        self.visits: dict[str, Visit] = {}
        """By openid."""
        self._quotas = Quotas(limit=settings.minute_quota)
        self._token_quotas = Quotas(limit=settings.token_daily_quota, seconds=DAY)
        self._reset_quotas = Quotas(limit=_RESETS_OF_A_USER)
        self._app_reset_quotas = Quotas(limit=_RESETS_OF_AN_APP)

    def log_in(self, *, user: str, appid: str) -> str:
        """Do what wx.login does on the phone: return a new code. ``appid`` must be known."""
        now = self.visit(user=user, appid=appid)
        code = LoginCode(
            text=login_code_text(self.rng),
            appid=appid,
            user=user,
            issued_at=now,
            session_key=self.session_keys.at_login(appid=appid, user=user, now=now),
        )
        self.codes.add(code)
        return code.text

    def press_phone_button(self, *, user: str, appid: str) -> PhoneCode:
        """Do what the button that asks for the phone number does: return a new code."""
        code = PhoneCode(
            text=phone_code_text(self.rng),
            appid=appid,
            user=user,
            issued_at=self.visit(user=user, appid=appid),
            phone=self.phones.of(user),
        )
        self.phone_codes.add(code)
        return code

    def visit(self, *, user: str, appid: str) -> float:
        """Have the user open the app, which must be known; return the time."""
        now = self.clock()
        app = self.apps[appid]
        self.visits[openid_of(appid=app.appid, user=user)] = Visit(app.appid, user, now)
        return now

    def session_key(self, *, user: str, appid: str) -> str:
        """Return the key that is valid now, a new one if there is none."""
        now = self.clock()
        key = self.session_keys.current(appid=appid, user=user, now=now)
        return key or self.session_keys.at_login(appid=appid, user=user, now=now)

    def current_key(self, visit: Visit) -> str | None:
        """Return the visitor's session_key; None when it has expired or there never was one."""
        return self.session_keys.current(appid=visit.appid, user=visit.user, now=self.clock())

    def find_code(self, text: str, *, appid: str) -> LoginCode | None:
        """Return the code, used or not; None when unknown, expired or another app's."""
        code = self.codes.find(text, now=self.clock())
        return code if code is not None and code.appid == appid else None

    def find_phone_code(self, text: str) -> PhoneCode | None:
        """Return the code of whatever app, used or not; None when unknown or expired."""
        return self.phone_codes.find(text, now=self.clock())

    def take_quota(self, user: str) -> bool:
        """Count one exchange; False when the user has had too many in this minute."""
        return self._quotas.take(user, now=self.clock())

    def take_token_quota(self, appid: str) -> bool:
        """Count one plain token; False when the app has had too many on this day."""
        return self._token_quotas.take(appid, now=self.clock())

    def take_reset_quota(self, *, appid: str, openid: str) -> bool:
        """Count one reset of a key; False when there were too many in this minute."""
        now = self.clock()
        return self._app_reset_quotas.take(appid, now=now) and self._reset_quotas.take(
            openid, now=now
        )

    def redeem(self, code: LoginCode) -> Grant | None:
        """Use the code up; None when it was used before."""
        if code.used:
            return None
        code.used = True
        return Grant(
            session_key=code.session_key,
            openid=openid_of(appid=code.appid, user=code.user),
            unionid=self.unionid(user=code.user, appid=code.appid),
        )

    def unionid(self, *, user: str, appid: str) -> str | None:
        """Return the user's unionid; None when the app is unbound."""
        platform = self.apps[appid].platform
        return None if platform is None else unionid_of(platform=platform, user=user)
