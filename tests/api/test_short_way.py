"""What is answered the short way at `/verify` is what the ordinary way answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from service.http import connections
from tests.api.verify_exchange import ask_all, differences, two_services
from tests.api.verify_requests import corpus, cut_ones

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.figure import Figure
    from tests.support.running import Simulator


@pytest.fixture(autouse=True)
def closely_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections whose rest is not worth waiting for end soon."""
    monkeypatch.setattr(connections, "_INTERVAL_SECONDS", 0.05)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"wafer_compat": True, "auth_error_status": 200},
        {"session_renewal": "sliding", "access_log": True},
    ],
    ids=lambda more: ", ".join(more) or "default",
)
async def test_it_answers_as_the_ordinary_way_does(
    settings: Callable[..., Settings],
    simulator: Simulator,
    figure: Figure,
    more: dict[str, object],
) -> None:
    async with two_services(settings, simulator, **more) as pair:
        cases = corpus(pair.ids, with_skey="wafer_compat" in more)
        cut = cut_ones(pair.ids)
        if more:  # every other one will do
            cases, cut = cases[::2], cut[::8]
        for_it = [case for case in cases if case.is_short]
        for_others = [case for case in cases if not case.is_short]
        found, short = [], []
        for some in (for_it, for_others, cut):
            ours = await ask_all(pair.short, some)
            theirs = await ask_all(pair.ordinary, some)
            found += differences(some, ours, theirs)
            short.append(ours.short)
            assert not theirs.short
    figure(f"{len(cases)} requests and {len(cut)} cut ones, {len(short[0])} of them short")
    assert not found, f"{len(found)} differ:\n" + "\n".join(found[:20])
    assert short[0] == sorted(case.raw for case in for_it)
    assert short[1] == []
    assert len(short[2]) < len(cut) / 2
