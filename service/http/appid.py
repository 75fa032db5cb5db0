"""Which mini-program a request comes from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from service.http.single_header import single_header

if TYPE_CHECKING:
    from service.http.request import AppRequest

_REFERER = re.compile(r"https://servicewechat\.com/([A-Za-z0-9_]{1,64})/", re.ASCII)


def appid_of(request: AppRequest) -> str | None:
    """The mini-program in `X-WX-Appid`, or in the Referer, which WeChat sets and no client can.

    Raises InvalidRequest where either comes twice and differs.
    """
    named = single_header(request, "X-WX-Appid")
    if named:
        return named
    match = _REFERER.match(single_header(request, "Referer"))
    return match[1] if match else None
