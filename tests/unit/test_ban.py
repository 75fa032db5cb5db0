from __future__ import annotations

import time

import pytest

from service.core.ban import check_until, clean_reason
from service.core.errors import InvalidRequest, UserBanned
from service.core.models import LONGEST_REASON, Ban


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("  spam \t\r\n in\u2028comments ", "spam in comments"),
        ("a\x00b\x1b[31mc\x7f\x9b", "ab[31mc"),
        ("\u202egnp.exe\u2066", "gnp.exe"),
        ("half \ud83d of it", "half  of it"),
        ("刷" * (LONGEST_REASON + 1), "刷" * LONGEST_REASON),
    ],
)
def test_a_reason_is_one_line_of_what_can_be_seen(given: str, kept: str) -> None:
    assert clean_reason(given) == kept


def test_an_end_lies_ahead_and_is_in_seconds() -> None:
    check_until(None)
    check_until(int(time.time()) + 60)
    check_until(253_402_300_799)
    for wrong in (0, -1, int(time.time()), 253_402_300_800):
        with pytest.raises(InvalidRequest) as refused:
            check_until(wrong)
        assert refused.value.data is not None
        assert refused.value.data["field"] == "until"


def test_a_ban_holds_until_it_ends() -> None:
    assert Ban(1).holds
    assert Ban(1, int(time.time()) + 60).holds
    assert not Ban(1, int(time.time())).holds


def test_nobody_reads_the_reason_by_accident() -> None:
    assert "canary" not in repr(Ban(1, None, "canary"))
    assert UserBanned(at=1, until=None).data == {"at": 1, "until": None}
