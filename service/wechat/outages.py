"""What of WeChat is away: a host, the answers of an endpoint, or its consent to an app."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from service.wechat import errcodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.core.outage import Outage, Outages

_NAME: Final = "wechat"
_PORTS: Final = {"https": 443, "http": 80}


class WeChatOutages:
    """An outage for each host, each endpoint, and each errcode with which one refuses an app.

    One must not hide another. What is over is told with every good answer: as long as nothing
    was wrong yet, that costs next to nothing.
    """

    def __init__(self, outages: Outages) -> None:
        self._outages = outages
        self._hosts: dict[str, Outage] = {}
        self._answers: dict[str, Outage] = {}
        self._contents: dict[str, Outage] = {}
        self._refusals: dict[tuple[str, str], dict[int | None, Outage]] = {}

    def unreachable(self, base: str, why: str) -> None:
        """No connection to this host was made."""
        if base not in self._hosts:
            self._hosts[base] = self._outages.of(_NAME, _place_of(base), level=logging.WARNING)
        self._hosts[base].failed("connecting", why)

    def reached(self, base: str) -> None:
        """It has answered."""
        if base in self._hosts:
            self._hosts[base].works()

    def unanswered(self, path: str, why: str) -> None:
        """There was no answer in time, or none of WeChat's."""
        self._of(self._answers, path).failed(path, why)

    def answered(self, path: str) -> None:
        """WeChat has answered, whatever it said."""
        if path in self._answers:
            self._answers[path].works()

    def unusable(self, path: str, why: str) -> None:
        """An answer without an errcode lacks what was asked for."""
        self._of(self._contents, path).failed(path, why)

    def usable(self, path: str) -> None:
        """One has it."""
        if path in self._contents:
            self._contents[path].works()

    def refused(
        self, path: str, appid: str, errcode: int | None, why: str, fields: Mapping[str, str | int]
    ) -> None:
        """WeChat answers an app with an errcode that somebody has to do something about.

        `errcode`: None for all that are not known.
        """
        refusals = self._refusals.setdefault((path, appid), {})
        for other, outage in refusals.items():
            if other != errcode:
                outage.works()
        if errcode not in refusals:
            passes = errcode in {errcodes.SYSTEM_BUSY, errcodes.APP_QUOTA}
            level = logging.WARNING if passes else logging.ERROR
            refusals[errcode] = self._outages.of(_NAME, level=level)
        refusals[errcode].failed(path, why, **fields)

    def accepted(self, path: str, appid: str) -> None:
        """WeChat has done what the app asked for, or found fault with the client's words only."""
        for outage in self._refusals.get((path, appid), {}).values():
            outage.works()

    def _of(self, outages: dict[str, Outage], path: str) -> Outage:
        if path not in outages:
            outages[path] = self._outages.of(_NAME, level=logging.WARNING)
        return outages[path]


def _place_of(base: str) -> str:
    """The host and port of WECHAT_API_BASE."""
    url = urlsplit(base)
    return f"{url.hostname}:{url.port or _PORTS.get(url.scheme, 0)}"
