"""How users, their sessions and what happened look to operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from service.http.routes.views import identity_view, user_view

if TYPE_CHECKING:
    from service.config.shown import ShownSetting
    from service.core.admin import SessionView, UserDetails, UserPage
    from service.core.events import Event
    from service.core.models import Ban, User
    from service.core.overview import OutageReport
    from service.core.session_story import SessionEnd

_EVENT_FIELDS: Final = {
    "id": "id",
    "at": "at",
    "event": "event",
    "user": "user",
    "handle": "handle",
    "appid": "appid",
    "device": "device",
    "requestId": "request_id",
    "address": "address",
    "reason": "reason",
    "by": "by",
}


def account_view(user: User) -> dict[str, Any]:
    """A user with all but the phone number in full; a ban that has ended by itself is none."""
    return {
        **user_view(user),
        "ban": _ban_view(user.ban) if user.ban and user.ban.holds else None,
        "createdAt": user.created_at,
        "updatedAt": user.updated_at,
    }


def _ban_view(ban: Ban) -> dict[str, Any]:
    return {"at": ban.at, "until": ban.until, "reason": ban.reason}


def page_view(page: UserPage) -> dict[str, Any]:
    """Some users, and where the next ones begin."""
    return {"users": [account_view(one) for one in page.users], "next": page.next or None}


def details_view(details: UserDetails) -> dict[str, Any]:
    """All that an operator may see of a user."""
    return {
        "user": account_view(details.user),
        "identities": [identity_view(one) for one in details.identities],
        "sessions": [_session_view(one) for one in details.sessions],
        "events": [event_view(one) for one in details.events],
    }


def end_view(end: SessionEnd) -> dict[str, Any]:
    """Why a session ended, in both languages; `at` in Unix milliseconds."""
    return {"at": end.at, "handle": end.handle, "zh": end.said.zh, "en": end.said.en}


def _session_view(session: SessionView) -> dict[str, Any]:
    return {
        "handle": session.handle,
        "appid": session.appid,
        "device": session.device,
        "issuedAt": session.issued_at,
        "expiresIn": session.expires_in,
        "state": session.state,
        "keyLost": session.key_lost,
    }


def event_view(event: Event) -> dict[str, Any]:
    """An event, without what is not known of it."""
    fields = {name: getattr(event, field) for name, field in _EVENT_FIELDS.items()}
    return {name: value for name, value in fields.items() if value != ""}


def outage_view(outage: OutageReport) -> dict[str, Any]:
    """An outage; `until` is null while it lasts. Times are Unix milliseconds."""
    return {
        "what": outage.what,
        "since": outage.since,
        "until": outage.until,
        "why": outage.why,
        "failures": outage.failures,
    }


def setting_view(setting: ShownSetting) -> dict[str, Any]:
    """A setting; of one that is secret, whether it is set."""
    return {
        "name": setting.name,
        "value": setting.value,
        "secret": setting.secret,
        "set": setting.is_set,
        "isDefault": setting.is_default,
        "description": setting.description,
    }
