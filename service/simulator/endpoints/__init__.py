"""WeChat's server API: one file per endpoint, with its path, its handler and its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.simulator.endpoints import (
    checksession,
    getuserphonenumber,
    jscode2session,
    msg_sec_check,
    resetusersessionkey,
    stable_token,
    token,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.simulator.context import Handler

ENDPOINTS: Mapping[str, Handler] = {
    jscode2session.PATH: jscode2session.jscode2session,
    token.PATH: token.token,
    stable_token.PATH: stable_token.stable_token,
    getuserphonenumber.PATH: getuserphonenumber.getuserphonenumber,
    checksession.PATH: checksession.checksession,
    resetusersessionkey.PATH: resetusersessionkey.resetusersessionkey,
    msg_sec_check.PATH: msg_sec_check.msg_sec_check,
}
"""Every endpoint by its path: what calls are counted for, and faults can be aimed at."""
