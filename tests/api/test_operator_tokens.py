"""Who may use the routes for operators: holders of a token, and nobody by guessing."""

from __future__ import annotations

import dataclasses
import hmac
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.admin import USER_ID, RememberedEvents, RememberingAdmin
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from service.config.settings import Settings
    from tests.support.running import Api

ALICE = "Vq8Zk2nT7cXw4pRj9sLb6mYd3gHf5aEu"
BOB = "Tz5Hw9eK2vQs7nXb4rUc8jGm3yLd6pAf"
INTERNAL = "Rj6Wq3mZ8xNc5tVb2kHs9gPd4fLy7eUa"
METRICS = "Gh4Tn8sX2bQv6zKm9wRc5jLp3yDf7eWa"
TOKENS = f"alice:{ALICE},bob:{BOB},carol:{ALICE[::-1]}"
THE_PAGE = {"admin", "admin/page/<name:str>"}
"""It asks for the token, and all that it shows is behind it."""


@pytest.fixture
def configured(settings: Callable[..., Settings]) -> Callable[..., Settings]:
    def make(**overrides: object) -> Settings:
        values = {
            "admin_tokens": TOKENS,
            "internal_token": INTERNAL,
            "metrics_token": METRICS,
            "limit_operator_token_per_address": "off",
        }
        return settings(**{**values, **overrides})

    return make


@pytest.fixture
async def api(configured: Callable[..., Settings]) -> AsyncIterator[Api]:
    async with running_service(configured()) as running:
        yield running


def admin_routes(api: Api) -> Iterator[tuple[str, str]]:
    """Every method and path below /admin, whichever blueprint it stands in."""
    for route in api.app.router.routes:
        below = route.path == "admin" or route.path.startswith("admin/")
        if below and route.path not in THE_PAGE:
            path = route.path.replace("<user_id:str>", USER_ID)
            assert "<" not in path, "put in a value for it"
            for method in sorted(route.methods):
                yield method, f"/{path}"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {ALICE}x"},
        {"Authorization": f"Bearer {ALICE[:-1]}"},
        {"Authorization": f"Bearer {ALICE.swapcase()}"},
        {"Authorization": f"Bearer  {ALICE}"},
        {"Authorization": f"Bearer alice:{ALICE}"},
        {"Authorization": f"Bearer {INTERNAL}"},
        {"Authorization": f"Bearer {METRICS}"},
        {"Authorization": "Bearer alice"},
        {"Authorization": "Bearer \xe9\xff"},
        {"Authorization": f"Basic {ALICE}"},
        {"Authorization": ALICE},
        {"Cookie": f"Authorization=Bearer {ALICE}"},
        {"sessionid": ALICE},
        [("Authorization", f"Bearer {ALICE}"), ("Authorization", f"Bearer {BOB}")],
        [("Authorization", f"Bearer {ALICE}"), ("Authorization", "")],
    ],
)
async def test_every_route_of_the_admin_api_refuses_strangers(api: Api, headers: Any) -> None:
    context = api.app.ctx
    admin, events = RememberingAdmin(), RememberedEvents()
    context.services = dataclasses.replace(context.services, admin=admin, event_history=events)
    routes = list(admin_routes(api))
    assert len(routes) >= 12
    for method, path in routes:
        for variant in (path, f"{path}/", f"{path}?token={ALICE}"):
            answer = await api.ask(method, variant, headers=headers)
            assert (answer.status, answer.code, answer.data) == (403, 40302, None), (method, path)
    assert not admin.asked
    assert not events.asked


async def test_without_tokens_there_is_no_admin_api(configured: Callable[..., Settings]) -> None:
    async with running_service(configured()) as api:
        routes = list(admin_routes(api))
    async with running_service(configured(admin_tokens="")) as api:
        for method, path in routes:
            answer = await api.ask(method, path, headers={"Authorization": f"Bearer {ALICE}"})
            assert (answer.status, answer.code) == (404, 40400), (method, path)


async def test_each_token_acts_in_its_own_name(api: Api) -> None:
    admin = RememberingAdmin()
    api.app.ctx.services = dataclasses.replace(api.app.ctx.services, admin=admin)
    for token in (BOB, ALICE, ALICE[::-1]):
        headers = {"Authorization": f"bearer {token}"}
        done = await api.ask("DELETE", f"/admin/users/{USER_ID}", headers=headers)
        assert done.status == 200
    assert [asked[-1] for asked in admin.asked] == ["bob", "alice", "carol"]


@pytest.mark.parametrize("token", [ALICE, BOB, ALICE[::-1], "wrong", ""])
async def test_every_token_is_compared_whichever_is_right(
    api: Api, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    lengths: list[tuple[int, int]] = []
    genuine = hmac.compare_digest

    def compare(one: Any, other: Any) -> bool:
        lengths.append((len(one), len(other)))
        return genuine(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    await api.ask("GET", "/admin/settings", headers={"Authorization": f"Bearer {token}"})
    assert lengths == [(32, 32)] * 3


async def test_wrong_ones_are_limited_and_right_ones_always_served(
    configured: Callable[..., Settings],
) -> None:
    own = configured(limit_operator_token_per_address="4/minute")
    paths = ("/admin/settings", "/internal/access-token")
    async with running_service(own) as api:

        async def status(path: str, token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return (await api.ask("GET", path, headers=headers)).status

        guesses = [await status(path, f"guess-{n}") for n in range(4) for path in paths]
        assert guesses == [403] * 4 + [429] * 4
        assert await status("/admin/settings", ALICE) == 200
        assert await status("/internal/access-token", ALICE) == 429
        assert (await api.ask("GET", "/admin/settings")).status == 403, "no guess"


async def test_a_guesser_is_one_line_in_the_log_and_no_guess_is_in_it(
    configured: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_service(configured(proxies_count=1)) as api:
        for number in range(5):
            headers = {
                "Authorization": f"Bearer canary-{number}",
                "X-Forwarded-For": f"203.0.113.{number}",
            }
            await api.ask("POST", f"/admin/users/{USER_ID}/kick", headers=headers)
    lines = [line for line in capsys.readouterr().err.splitlines() if "a wrong token" in line]
    assert len(lines) == 1
    assert "WARNING" in lines[0]
    assert "/admin/users/<user_id:str>/kick, from 203.0.113.0/24" in lines[0]
    assert "canary" not in lines[0]
    assert USER_ID not in lines[0]
