"""Data that WeChat encrypted for the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic import Blueprint

from service.core.models import Encrypted
from service.http.responses import success
from service.http.routes.body import Base64, Body, read_body

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.http.request import AppRequest

decrypt = Blueprint("decrypt")


class EncryptedBody(Body):
    """`POST /decrypt`."""

    encryptedData: Base64  # noqa: N815 # WeChat's word
    iv: Base64


@decrypt.post("/decrypt")
async def open_encrypted(request: AppRequest) -> HTTPResponse:
    """Open encryptedData with the key of the caller's session, which never leaves."""
    body = read_body(request, EncryptedBody)
    encrypted = Encrypted(body.encryptedData, body.iv)
    payload = await request.app.ctx.services.decryptor.open(request.ctx.session, encrypted)
    return success(request, payload)
