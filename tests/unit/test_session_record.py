"""What is read of a record, where the service that reads it did not write it so."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from service.core.lifetime import Lifetime
from service.core.models import SESSION_KEY_BYTES, SessionId, WeChatIdentity
from service.stores import session_record
from service.stores.keyring import Keyring
from service.stores.session_record import InvalidRecord, SessionRecord
from tests.support.settings import SECRET_KEY

HANDLE = "H" * 22


def read(**more: Any) -> SessionRecord:
    raw = session_record.write(
        SessionId.new(HANDLE),
        WeChatIdentity("openid", bytes(SESSION_KEY_BYTES)),
        appid="app",
        device="default",
        user_id="user",
        issued_at=1_000_000,
        lifetime=Lifetime.of(ttl=60, max_age=60, sliding=False),
        keyring=Keyring([SECRET_KEY], purpose="session"),
    )
    return SessionRecord.read(orjson.dumps(orjson.loads(raw) | more), handle=HANDLE)


@pytest.mark.parametrize("odd", ["soon", None, [], {}])
def test_when_it_ended_is_not_looked_at_where_it_has_not(odd: object) -> None:
    record = read(endAt=odd)
    assert record.ending is None
    assert record.session(expires_in=1).openid == "openid"


def test_when_it_ended_is_told_in_seconds() -> None:
    record = read(end="kicked", endAt=1_999_999)
    assert record.ending == ("kicked", 1999, None)


def test_until_when_a_ban_lasts_is_told_as_it_stands() -> None:
    record = read(end="banned", endAt=1_999_999, until=2_000_000_000)
    assert record.ending == ("banned", 1999, 2_000_000_000)


@pytest.mark.parametrize("odd", ["soon", None, 1.5, True, [], {}])
def test_a_ban_without_a_readable_end_is_no_record_of_ours(odd: object) -> None:
    with pytest.raises(InvalidRecord):
        read(end="banned", endAt=1_999_999, until=odd)
