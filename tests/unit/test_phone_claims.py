"""Two processes whose rings differ in order, as during a rotation, claim in the same order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from service.core.models import Phone
from service.sql.phone_rows import PhoneRows
from service.stores.keyring import Keyring

if TYPE_CHECKING:
    import pytest

OLD, NEW = "old secret of the operator, long enough", "new secret of the operator, long enough"


def claimed(monkeypatch: pytest.MonkeyPatch, ring: list[str], phone: Phone) -> list[str]:
    """The fingerprints whose rows are locked, in that order."""
    order: list[str] = []

    def claim(_: PhoneRows, fingerprint: str, owner: str, *, proven: bool) -> Any:
        order.append(fingerprint)
        return SimpleNamespace(user_id=owner, proven=proven)

    monkeypatch.setattr(PhoneRows, "_claim", claim)
    keyring = Keyring(ring, purpose="phone")
    rows = PhoneRows(None, keyring, None)  # type: ignore[arg-type] # not asked
    rows.claim("alice", phone, proven=False)
    return order


def test_nobody_waits_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):  # of each number the one or the other key's comes first
        phone = Phone(f"+86 138000000{number:02}")
        before = claimed(monkeypatch, [OLD, NEW], phone)
        after = claimed(monkeypatch, [NEW, OLD], phone)
        assert len(set(before)) == 2
        assert before == after
