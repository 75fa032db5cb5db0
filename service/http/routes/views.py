"""How the service's values look on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from service.core.components import Component
    from service.core.models import Session, User, UserExport, UserIdentity

UPLOADS: Final = "/uploads/"
"""Where avatars are served, by name."""


def user_view(user: User) -> dict[str, Any]:
    """A user as anybody may see them: the phone number masked."""
    return {
        "id": user.id,
        "nickname": user.nickname,
        "avatar": UPLOADS + user.avatar,
        "phone": user.phone.masked if user.phone else None,
    }


def own_view(user: User) -> dict[str, Any]:
    """A user as they see themselves: the whole phone number."""
    return {
        **user_view(user),
        "phone": user.phone.number if user.phone else None,
        "createdAt": user.created_at,
        "updatedAt": user.updated_at,
    }


def export_view(export: UserExport) -> dict[str, Any]:
    """All that is kept of a user."""
    return {
        "user": own_view(export.user),
        "identities": [identity_view(one) for one in export.identities],
        "session": {"appid": export.session.appid, **session_view(export.session)},
    }


def session_view(session: Session) -> dict[str, Any]:
    """A session, and nothing of whose it is."""
    return {
        "expiresIn": session.expires_in,
        "issuedAt": session.issued_at // 1000,
        "device": session.device,
    }


def component_view(component: Component) -> dict[str, Any]:
    """Something that the service leans on. Times are Unix milliseconds."""
    return {
        **component.status._asdict(),
        "since": component.since,
        "checkedAt": component.checked_at,
    }


def identity_view(identity: UserIdentity) -> dict[str, Any]:
    """What WeChat calls a user in one mini-program."""
    return {"appid": identity.appid, "openid": identity.openid, "unionid": identity.unionid}
