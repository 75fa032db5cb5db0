"""`python -m tests.faults.naive_service`: the service, over the naive store."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import service.app
from service import wiring
from service.__main__ import main
from service.app import create_app
from tests.faults.naive_sessions import NaiveSessions

if TYPE_CHECKING:
    from service.config.settings import Settings
    from service.http.context import App


def create_naive_app(*, settings: Settings) -> App:
    """Sanic runs this in every worker, each of which begins with modules unpatched."""
    patch.object(wiring, "RedisSessions", NaiveSessions).start()
    return create_app(settings=settings)


if __name__ == "__main__":
    with patch.object(service.app, "create_app", create_naive_app):
        main([])
