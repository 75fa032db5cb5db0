"""The tokens of INTERNAL_TOKEN, METRICS_TOKEN and ADMIN_TOKENS: who brings one, and who guesses."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from service.core.errors import InvalidRequest, OperatorTokenRefused
from service.core.fair_share import shown_client
from service.http.single_header import single_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from service.http.request import AppRequest


async def operator_of(request: AppRequest, tokens: Mapping[str, SecretStr]) -> str:
    """The name in `tokens` of the one that `request` brings as `Authorization: Bearer`.

    Raises OperatorTokenRefused. Wrong ones are counted, and refused with RateLimited
    from some number on; a right one is always good, so that nobody can shut its
    holders out. Where there is nothing to guess at, and for two that differ, nothing
    is learnt, so they are not counted. Raises SessionStoreUnavailable where it cannot be
    counted.
    """
    given = _bearer(request)
    if given is None or not tokens:
        raise OperatorTokenRefused
    name = _name_of(given, tokens)
    if name is None:
        await _count_wrong(request)
        raise OperatorTokenRefused
    return name


def _bearer(request: AppRequest) -> str | None:
    try:
        scheme, _, given = single_header(request, "Authorization").partition(" ")
    except InvalidRequest:
        return None
    return given if scheme.lower() == "bearer" else None


def _name_of(given: str, tokens: Mapping[str, SecretStr]) -> str | None:
    """In a time that tells neither how much of a token is right nor which one."""
    found = None
    digest = _digest(given)
    for name, token in tokens.items():
        if hmac.compare_digest(digest, _digest(token.get_secret_value())):
            found = name  # and on, to the last one
    return found


def _digest(text: str) -> bytes:
    """All of one length: comparing does not tell that of a token."""
    return hashlib.sha256(text.encode(errors="replace")).digest()


async def _count_wrong(request: AppRequest) -> None:
    context = request.app.ctx
    address = request.info.client_address
    whom = shown_client(address) if address else "an address that is not known"
    place = f"/{request.route.path}" if request.route else "-"
    context.wrong_tokens.warn("a wrong token", f"for {place}, from {whom}")
    # Those whose address is not known are counted as one.
    await context.services.limits.count("operator_token_per_address", address or "")
