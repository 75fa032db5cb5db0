"""Where the sessions of a user can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from service.core.models import handle_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.core.models import UserIdentity


class SessionPlace(NamedTuple):
    """One mini-program and device class, and the handle of the user's session there."""

    handle: str
    appid: str
    device: str


def session_places(
    identities: Sequence[UserIdentity], devices: Sequence[str]
) -> list[SessionPlace]:
    """All that there can be for a user with these identities; `devices`: the device classes."""
    return [
        SessionPlace(handle_of(one.appid, one.openid, device), one.appid, device)
        for one in identities
        for device in devices
    ]
