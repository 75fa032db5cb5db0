"""What hangs on the app and on a request, with types."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeAlias

from sanic import Sanic
from sanic.config import Config

if TYPE_CHECKING:
    from service.config.settings import Settings
    from service.core.admin import Admin
    from service.core.components import Components
    from service.core.decrypt import Decryptor
    from service.core.events import EventHistory, Events
    from service.core.login import Login
    from service.core.models import Session
    from service.core.outage import Outages
    from service.core.phone import PhoneNumbers
    from service.core.ports import (
        AccessTokens,
        AvatarStore,
        DatabaseCheck,
        Limits,
        PictureDecoder,
        SessionStore,
    )
    from service.core.profile import Profiles
    from service.core.throttled_log import ThrottledLog
    from service.core.uploads import Uploads
    from service.http.connections import Connections
    from service.metrics.figures import Figures
    from service.tracing import RequestSpan


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes use."""

    login: Login
    phones: PhoneNumbers
    profiles: Profiles
    decryptor: Decryptor
    sessions: SessionStore
    database: DatabaseCheck
    components: Components
    avatars: AvatarStore
    pictures: PictureDecoder
    uploads: Uploads
    access_tokens: AccessTokens
    limits: Limits
    events: Events
    event_history: EventHistory
    admin: Admin
    outages: Outages
    figures: Figures


class AppContext(SimpleNamespace):
    """`app.ctx`. Annotations only: reading a service before start-up is an AttributeError."""

    settings: Settings
    services: Services
    started_at: int
    """Unix seconds."""
    stopping: bool
    """Whether it was told to stop, and serves on only until others have noticed."""
    wrong_tokens: ThrottledLog
    connections: Connections
    worker: str
    """Its number, from 1 on; "" for an app that no supervisor has started."""
    short_answers: int
    """How many were given the short way (http/short_way.py)."""


class RequestContext(SimpleNamespace):
    """`request.ctx`."""

    session: Session
    """Set by the guard on every route that is not public."""
    span: RequestSpan | None
    """Until it has an answer, where there is tracing."""
    operator: str
    """The name of the admin token; set on every route of the admin API."""


App: TypeAlias = Sanic[Config, AppContext]
