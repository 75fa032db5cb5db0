"""A login, as every form of it asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.core.errors import InternalError, ServiceError
from service.metrics.series import logins

if TYPE_CHECKING:
    from service.core.login_request import LoginRequest
    from service.core.models import LoggedIn
    from service.http.request import AppRequest


async def log_in(request: AppRequest, wanted: LoginRequest) -> LoggedIn:
    """What Login.log_in returns, or raises; counted for /metrics."""
    try:
        answer = await request.app.ctx.services.login.log_in(wanted)
    except ServiceError as error:
        logins.add(error.error, error.errcode)
        raise
    except Exception:
        logins.add(InternalError.error, "")
        raise
    logins.add("ok", "")
    return answer
