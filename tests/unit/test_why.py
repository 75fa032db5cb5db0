"""Why a user was logged out, for each way in which that can be."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import pytest

from service.core.admin import SessionView
from service.core.events import Event
from service.core.lifetime import Lifetime
from service.core.why import explain, why_logged_out
from service.core.why_texts import SAID
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from service.core.events import EventName
    from service.core.session_story import SessionEnd

HANDLE: Final = "h" * 22
OTHER: Final = "o" * 22
FIXED: Final = Lifetime.of(ttl=7200, max_age=7 * 86400, sliding=False)
SLIDING: Final = Lifetime.of(ttl=7200, max_age=10_000, sliding=True)
TEN: Final = 1_795_773_600_000
"""2026-11-27 10:00:00 UTC."""
MINUTE: Final = 60_000


def at(minutes: float) -> int:
    """So many minutes after ten."""
    return TEN + int(minutes * MINUTE)


def event(minutes: float, name: EventName, *, handle: str = HANDLE, **fields: Any) -> Event:
    whose = {"appid": APPID, "device": "phone"} if handle else {}
    return Event(at(minutes), name, "u1", handle, **{**whose, **fields})


def view(state: Literal["live", "kicked", "banned"] = "live", minutes: float = 0) -> SessionView:
    return SessionView(HANDLE, APPID, "phone", at(minutes), 100, state, key_lost=False)


def ends(
    *events: Event,
    sessions: Sequence[SessionView] = (),
    now: float = 60,
    lifetime: Lifetime = FIXED,
    **more: Any,
) -> list[SessionEnd]:
    return explain(events, sessions, lifetime=lifetime, now=at(now), **more)


def the_end(*events: Event, **more: Any) -> SessionEnd:
    [one] = ends(*events, **more)
    return one


LOGIN: Final = event(0, "login")


def test_replaced_says_when_and_from_where() -> None:
    newer = event(3, "replaced", address="203.0.113.0/24"), event(3, "login")
    told = the_end(LOGIN, *newer, sessions=[view(minutes=3)])
    assert (told.at, told.handle, told.cause) == (at(3), HANDLE, "replaced")
    assert told.said.en == (
        "Replaced by a newer login (from 203.0.113.0/24): there is one session for each"
        " mini-program and device class (phone)."
    )
    assert told.said.zh.startswith("被一次新的登录取代（来自 203.0.113.0/24）：")


def test_a_replaced_session_whose_key_was_lost_says_so() -> None:
    told = the_end(
        LOGIN, event(3, "replaced", reason="key_lost"), event(3, "login"), sessions=[view()]
    )
    assert told.cause == "replaced_key_lost"
    assert "SECRET_KEYS" in told.said.en
    assert "SECRET_KEYS" in told.said.zh


def test_decrypt_sends_to_log_in_again_where_the_key_has_left_the_ring() -> None:
    told = the_end(LOGIN, event(3, "expired", reason="key_lost"), sessions=[view()])
    assert (told.at, told.cause) == (at(3), "key_lost")


def test_logged_out() -> None:
    told = the_end(LOGIN, event(3, "logout"), event(5, "expired", reason="unknown"))
    assert (told.at, told.cause) == (at(3), "logout")


@pytest.mark.parametrize("noticed", [(), (event(130, "expired", reason="unknown"),)])
def test_expired_whether_it_was_noticed_or_not(noticed: tuple[Event, ...]) -> None:
    told = the_end(LOGIN, *noticed, now=200)
    assert (told.at, told.cause) == (at(120), "expired")
    assert "2026-11-27 10:00:00+00:00" in told.said.en
    assert "7200" in told.said.zh


def test_expired_between_two_logins() -> None:
    told = the_end(LOGIN, event(300, "login"), now=301, sessions=[view(minutes=300)])
    assert (told.at, told.cause) == (at(120), "expired")


def test_a_renewal_puts_the_end_off_and_the_greatest_age_does_not_move() -> None:
    renewed = LOGIN, event(70, "renewed")
    assert the_end(*renewed, now=300, lifetime=SLIDING).at == TEN + 10_000_000
    assert the_end(*renewed, now=300, lifetime=Lifetime(7_200_000, 10**9, True)).at == at(190)


def test_times_are_of_the_zone_that_is_asked_for() -> None:
    told = the_end(LOGIN, now=200, zone=timezone(timedelta(hours=8)))
    assert "2026-11-27 18:00:00+08:00" in told.said.en


def test_kicked_says_by_whom() -> None:
    told = the_end(LOGIN, event(3, "kicked", by="wang"), sessions=[view("kicked")])
    assert (told.at, told.cause) == (at(3), "kicked")
    assert "wang" in told.said.en
    assert "wang" in told.said.zh


def test_banned_says_by_whom_why_and_until_when_on_every_device() -> None:
    told = ends(
        LOGIN,
        event(0, "login", handle=OTHER),
        event(3, "banned", handle="", by="li", reason="spam {x}"),
        ban_until=TEN // 1000 + 3600,
        sessions=[view("banned")],
    )
    assert [(one.at, one.cause) for one in told] == [(at(3), "banned")] * 2
    assert told[0].said.en == (
        "Ended because the operator li banned the user until 2026-11-27 11:00:00+00:00 (spam {x})."
    )
    assert told[0].said.zh == (
        "管理员 li 封禁了该用户至 2026-11-27 11:00:00+00:00（spam {x}），会话随之结束。"
    )


def test_the_end_of_the_ban_that_holds_is_not_that_of_one_before() -> None:
    bans = [event(minutes, "banned", handle="", by="li") for minutes in (3, 30)]
    told = ends(LOGIN, bans[0], event(20, "login"), bans[1], ban_until=TEN // 1000 + 3600)
    assert ["until" in one.said.en for one in told] == [True, False]


def test_a_tombstone_without_an_event_is_told_all_the_same() -> None:
    assert [one.cause for one in ends(sessions=[view("kicked", 1)])] == ["kicked"]


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ({}, True),
        ({"appid": APPID}, True),
        ({"appid": APPID, "device": "phone"}, True),
        ({"appid": "wxother"}, False),
        ({"device": "pc"}, False),
    ],
)
def test_ended_by_an_operator_for_the_app(scope: dict[str, str], told: bool) -> None:  # noqa: FBT001 # pytest's
    mark = Event(at(3), "sessions_ended", reason=f"before={at(2)}", by="zhao", **scope)
    asked = event(4, "expired", reason="ended_by_operator")
    if not told:
        assert ends(LOGIN, mark, sessions=[view()]) == []
        return
    [end] = ends(LOGIN, mark, asked)
    assert (end.at, end.cause) == (at(3), "sessions_ended")
    assert "zhao" in end.said.en
    assert "2026-11-27 10:02:00" in end.said.zh
    for named in scope.values():
        assert named in end.said.en


def test_a_login_after_the_mark_is_not_ended_by_it() -> None:
    mark = Event(at(3), "sessions_ended", reason=f"before={at(-1)}", by="zhao")
    assert ends(LOGIN, mark, sessions=[view()]) == []


@pytest.mark.parametrize("cause", ["ended_by_operator", "not_served", "user_gone"])
def test_what_the_service_knew_when_it_noticed(cause: str) -> None:
    told = the_end(LOGIN, event(3, "expired", reason=cause))
    assert (told.at, told.cause) == (at(3), cause)


def test_the_user_deleted_the_account_with_all_sessions() -> None:
    other = event(0, "login", handle=OTHER)
    told = ends(LOGIN, other, event(3, "account_deleted"))
    assert {(one.handle, one.at, one.cause) for one in told} == {
        (HANDLE, at(3), "account_deleted"),
        (OTHER, at(3), "account_deleted"),
    }
    by = the_end(LOGIN, event(3, "account_deleted", handle="", by="li"))
    assert by.cause == "account_deleted_by"
    assert "li" in by.said.zh


def test_lost_by_redis() -> None:
    noticed = the_end(
        LOGIN, event(3, "expired", reason="unknown"), event(4, "login"), sessions=[view()]
    )
    assert (noticed.at, noticed.cause) == (at(3), "lost")
    assert "2026-11-27 12:00:00" in noticed.said.en
    unnoticed = the_end(LOGIN, now=60)
    assert (unnoticed.at, unnoticed.cause) == (at(60), "lost")


def test_a_made_up_id_of_the_handle_ends_nothing() -> None:
    made_up = event(3, "expired", reason="unknown")
    assert ends(LOGIN, made_up, sessions=[view()]) == []
    assert [one.cause for one in ends(LOGIN, made_up, event(5, "logout"))] == ["logout"]
    assert (
        the_end(LOGIN, made_up, event(60, "renewed"), now=300, lifetime=SLIDING).cause == "expired"
    )


def test_what_happened_before_the_oldest_event_is_not_made_up() -> None:
    told = the_end(event(3, "expired", reason="unknown"))
    assert told.cause == "expired_earlier"
    assert ends() == []


def test_the_newest_comes_first_whatever_the_order_of_the_events() -> None:
    story = [LOGIN, event(1, "replaced"), event(1, "login"), event(2, "logout"), event(3, "login")]
    named = [one._replace(id=f"1-{number}") for number, one in enumerate(story)]
    told = ends(*reversed(named), sessions=[view(minutes=3)])
    assert [one.cause for one in told] == ["logout", "replaced"]


def test_every_sentence_names_what_there_is_in_both_languages() -> None:
    for cause, said in SAID.items():
        fields = [
            {part.partition("}")[0] for part in text.split("{")[1:]} for text in (said.en, said.zh)
        ]
        assert fields[0] == fields[1], cause
        assert said.zh[-1] == "。"
        assert said.en[-1] == "."


class _History:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def find(self, **asked: Any) -> Sequence[Event]:
        self.asked.append(asked)
        if asked.get("event") == "sessions_ended":
            return [Event(at(3), "sessions_ended", reason=f"before={at(3)}", by="zhao")]
        return [LOGIN]


async def test_events_of_the_user_and_of_all_sessions_are_looked_at() -> None:
    history: Any = _History()
    [told] = await why_logged_out(
        history,
        user="u1",
        sessions=(),
        handles=[HANDLE, OTHER],
        lifetime=FIXED,
        now=at(10),
    )
    assert told.cause == "sessions_ended"
    assert history.asked[0]["handles"] == [HANDLE, OTHER]
