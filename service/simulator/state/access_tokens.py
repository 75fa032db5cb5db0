"""The access_tokens WeChat has given out, of both sorts.

``/cgi-bin/token`` gives a new one each time and lets the one before overlap it;
``/cgi-bin/stable_token`` gives everybody the same. Neither sort touches the other.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from service.simulator.state.quotas import DAY, Quotas

if TYPE_CHECKING:
    import random

_SUPERSEDED = 40001
_EXPIRED = 42001
_SECONDS_BETWEEN_FORCES = 30
_FORCES_PER_DAY = 20
_REMEMBERED = 10_000
_BYTES = 100
_LENGTH = 133


@dataclass(slots=True, eq=False)
class AccessToken:
    """One token. From ``ends_at`` on, its use gives ``end_errcode``."""

    text: str
    appid: str
    is_stable: bool
    ends_at: float
    end_errcode: int = _EXPIRED

    def fields(self, now: float) -> dict[str, Any]:
        """Return what WeChat answers to whoever fetches it."""
        return {"access_token": self.text, "expires_in": int(self.ends_at - now)}

    def supersede(self, at: float) -> None:
        """End it at that time, unless it ends before."""
        if at < self.ends_at:
            self.ends_at = at
            self.end_errcode = _SUPERSEDED


class AccessTokens:
    """Every app's tokens."""

    def __init__(self, *, life: float, overlap: float, rng: random.Random) -> None:
        self._life = life
        self._overlap = overlap
        self._rng = rng
        self._tokens: dict[str, AccessToken] = {}
        self._plain: dict[str, AccessToken] = {}
        self._stable: dict[str, AccessToken] = {}
        self._stable_before: dict[str, AccessToken] = {}
        self._forced_at: dict[str, float] = {}
        self._forces = Quotas(limit=_FORCES_PER_DAY, seconds=DAY)

    def __len__(self) -> int:
        return len(self._tokens)

    def fetch(self, appid: str, *, now: float) -> AccessToken:
        """Return a new plain token; the former one goes on for the overlap."""
        if (former := self._plain.get(appid)) is not None:
            former.supersede(now + self._overlap)
        token = self._plain[appid] = self._issue(appid, is_stable=False, now=now)
        return token

    def stable(self, appid: str, *, force: bool, now: float) -> AccessToken:
        """Return the stable token; a new one when it is near its end or a refresh is forced."""
        if force and self._may_force(appid, now):
            self._forced_at[appid] = now
            return self._replace_stable(appid, now)
        token = self._stable.get(appid)
        if token is None or token.ends_at - now <= self._overlap:
            if token is not None:
                self._stable_before[appid] = token
            token = self._stable[appid] = self._issue(appid, is_stable=True, now=now)
        return token

    def find(self, text: str, *, now: float) -> AccessToken | int:
        """Return the token if it may be used, else the errcode."""
        token = self._tokens.get(text)
        if token is None:
            return _SUPERSEDED
        return token.end_errcode if now >= token.ends_at else token

    def void(self, token: AccessToken, *, now: float) -> None:
        """Void a token, as another caller does who fetches a plain one or forces a stable one."""
        token.supersede(now)
        if token.is_stable:
            self._replace_stable(token.appid, now)

    def _may_force(self, appid: str, now: float) -> bool:
        forced_at = self._forced_at.get(appid)
        is_spaced = forced_at is None or now - forced_at >= _SECONDS_BETWEEN_FORCES
        return is_spaced and self._forces.take(appid, now=now)

    def _replace_stable(self, appid: str, now: float) -> AccessToken:
        """Void all stable tokens of the app at once and return a new one."""
        for tokens in (self._stable, self._stable_before):
            if (former := tokens.pop(appid, None)) is not None:
                former.supersede(now)
        token = self._stable[appid] = self._issue(appid, is_stable=True, now=now)
        return token

    def _issue(self, appid: str, *, is_stable: bool, now: float) -> AccessToken:
        noise = urlsafe_b64encode(self._rng.randbytes(_BYTES)).decode()[:_LENGTH]
        token = AccessToken(f"66_{noise}", appid, is_stable, now + self._life)
        self._tokens[token.text] = token
        self._forget_some(now)
        return token

    def _forget_some(self, now: float) -> None:
        """Drop the oldest tokens if there are too many; those that are still good go last."""
        for oldest in list(islice(self._tokens, 2)):
            if len(self._tokens) > _REMEMBERED:
                token = self._tokens.pop(oldest)
                if now < token.ends_at:
                    self._tokens[oldest] = token
