"""The caller's own record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic import Blueprint

from service.core.errors import InvalidRequest
from service.http.multipart import read_file
from service.http.responses import success
from service.http.routes.body import Base64, Body, Text, Word, encrypted_in, read_body
from service.http.routes.views import export_view, own_view

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.core.profile import Profiles
    from service.http.request import AppRequest

users = Blueprint("users")


class NicknameBody(Body):
    """`PATCH /me`."""

    nickname: Text


class PhoneBody(Body):
    """`PUT /me/phone`: a code, or encryptedData with iv."""

    code: Word | None = None
    encryptedData: Base64 | None = None  # noqa: N815 # WeChat's word
    iv: Base64 | None = None


def _profiles(request: AppRequest) -> Profiles:
    return request.app.ctx.services.profiles


@users.get("/me")
async def show(request: AppRequest) -> HTTPResponse:
    """The caller's record."""
    return success(request, own_view(await _profiles(request).show(request.ctx.session)))


async def rename(request: AppRequest) -> HTTPResponse:
    """Change the nickname. PUT does the same: `wx.request` has no PATCH."""
    body = read_body(request, NicknameBody)
    user = await _profiles(request).rename(request.ctx.session, body.nickname)
    return success(request, own_view(user))


users.add_route(rename, "/me", methods=("PATCH", "PUT"))


@users.delete("/me")
async def delete(request: AppRequest) -> HTTPResponse:
    """Remove the caller and everything kept of them."""
    await _profiles(request).delete(request.ctx.session)
    return success(request, {"deleted": True})


@users.get("/me/export")
async def export(request: AppRequest) -> HTTPResponse:
    """Everything kept of the caller."""
    return success(request, export_view(await _profiles(request).export(request.ctx.session)))


@users.put("/me/phone")
async def bind_phone(request: AppRequest) -> HTTPResponse:
    """Bind or change the caller's phone number."""
    body = read_body(request, PhoneBody)
    phones = request.app.ctx.services.phones
    encrypted = encrypted_in(body.encryptedData, body.iv)
    if encrypted is not None and body.code is None:
        user = await phones.bind_encrypted(request.ctx.session, encrypted)
    elif body.code is not None and encrypted is None:
        user = await phones.bind(request.ctx.session, body.code)
    else:
        raise InvalidRequest("code", "give code, or encryptedData with iv")
    return success(request, own_view(user))


# A stream, so that nothing of a large body is read before the guard has let it pass.
@users.post("/me/avatar", stream=True)
async def set_avatar(request: AppRequest) -> HTTPResponse:
    """Take the picture of a multipart upload, as `wx.uploadFile` sends it."""
    largest = request.app.ctx.settings.avatar_max_bytes
    session, uploads = request.ctx.session, request.app.ctx.services.uploads
    async with uploads.admit(session) as upload:
        async with upload.coming():
            picture = await read_file(
                request, field="avatar", largest=largest, grow=upload.grow, pace=uploads.pace
            )
        user = await _profiles(request).set_avatar(session, picture)
    return success(request, own_view(user))
