"""What a web page on another port may do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from multidict import CIMultiDict

from service.simulator.control.cors import refuse_other_sites
from tests.unit.simulator.harness import target

if TYPE_CHECKING:
    from tests.unit.simulator.harness import Client

ORIGIN = {"origin": "http://127.0.0.1:8000"}


@pytest.mark.parametrize(
    "path", ["login", "phone", "profile", "session_key", "faults", "stats", "redis"]
)
def test_a_browser_that_asks_first_is_told_yes(client: Client, path: str) -> None:
    answer = client.call("options", f"/sim/{path}", headers=ORIGIN)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert answer.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert answer.headers["access-control-allow-headers"] == "content-type"


@pytest.mark.parametrize("path", ["/sim/stats", "/sim/login", "/sim/nowhere"])
def test_a_page_of_this_host_may_read_every_answer_errors_too(client: Client, path: str) -> None:
    answer = client.get(path, headers=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "http://127.0.0.1.example.com:8000",
        "http://localhost:8000",  # the client calls 127.0.0.1
        "http://[::1",
        "null",
        "",
    ],
)
def test_a_page_from_elsewhere_changes_nothing(client: Client, origin: str) -> None:
    body = b'{"kind": "html_502"}'
    answer = client.call("post", "/sim/faults", content=body, headers={"origin": origin})
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers
    assert client.get("/sim/faults").json()["active"] == []


@pytest.mark.parametrize(
    "host", ["evil.com", "127.0.0.1.evil.com", "localhost.evil.com", "192.0.2.7"]
)
def test_a_page_that_had_its_name_lead_here_changes_nothing(client: Client, host: str) -> None:
    headers = {"origin": f"http://{host}", "host": f"{host}:8001"}
    answer = client.call("post", "/sim/faults", content=b'{"kind": "html_502"}', headers=headers)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers
    assert client.get("/sim/faults").json()["active"] == []


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "[::1]"])
def test_a_page_of_this_machine_is_let_in_by_whichever_name(client: Client, host: str) -> None:
    headers = {"origin": f"http://{host}:8000", "host": f"{host}:8001"}
    answer = client.get("/sim/stats", headers=headers)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == headers["origin"]


@pytest.mark.parametrize(
    ("reached", "status"), [("192.0.2.7", None), ("192.0.2.8", 403), ("127.0.0.1", 403)]
)
async def test_a_simulator_on_another_address_lets_in_the_pages_of_that_address(
    reached: str, status: int | None
) -> None:
    headers = CIMultiDict(origin="http://192.0.2.7:8000", host="192.0.2.7:8001")
    connection = SimpleNamespace(sockname=(reached, 8001))
    request: Any = SimpleNamespace(path="/sim/faults", headers=headers, conn_info=connection)
    refusal = await refuse_other_sites(request)
    assert (refusal and refusal.status) == status


def test_what_is_no_page_may_do_everything(client: Client) -> None:
    answer = client.post("/sim/faults", {"kind": "html_502"})
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/", target()])
def test_no_page_reads_what_is_wechats(client: Client, path: str) -> None:
    assert "access-control-allow-origin" not in client.get(path, headers=ORIGIN).headers
