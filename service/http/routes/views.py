"""How the service's values look on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.core.models import User


def user_view(user: User) -> dict[str, Any]:
    """A user as anybody may see them: the phone number masked."""
    return {
        "id": user.id,
        "nickname": user.nickname,
        "avatar": user.avatar,
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
