"""Ids of no session, of which an address may bring so many: they may be guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.core.errors import RateLimited, SessionExpired

if TYPE_CHECKING:
    from service.http.request import AppRequest


async def count_dead_session(request: AppRequest) -> None:
    """Raise RateLimited where too many of them came from the address of `request`.

    It says, as its cause, that the session is dead. Raises SessionStoreUnavailable too.
    """
    address = request.info.client_address
    if address is None:
        return
    try:
        await request.app.ctx.services.limits.count("dead_sessions_per_address", address)
    except RateLimited as limited:
        raise limited from SessionExpired()
