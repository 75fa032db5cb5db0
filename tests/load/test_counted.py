from __future__ import annotations

from tests.load.counted import compare

COUNTS = {
    "steady: check": 100,
    "steady: log in to be checked": 40,
    "storm: log in": 7,
    "storm: check": 11,
    "mixed: own record": 3,
    "mixed: log out": 2,
}
METRICS = """\
# TYPE minigate_requests_total counter
minigate_requests_total{method="read",outcome="2xx",route="/verify"} 110.0
minigate_requests_total{method="read",outcome="session_expired",route="/verify"} 1.0
minigate_requests_total{method="write",outcome="2xx",route="/login"} 47.0
minigate_requests_total{method="read",outcome="2xx",route="/me"} 2.0
minigate_requests_total{method="write",outcome="2xx",route="/logout"} 2.0
minigate_requests_total{method="read",outcome="2xx",route="/readyz"} 9.0
"""


def test_each_route_is_compared_over_all_scenarios() -> None:
    found = {pair.route: pair for pair in compare(COUNTS, METRICS)}
    assert {route: pair[1:] for route, pair in found.items()} == {
        "/verify": (111, 111),
        "/login": (47, 47),
        "/me": (3, 2),
        "/logout": (2, 2),
    }
    assert [pair.route for pair in found.values() if not pair.is_equal] == ["/me"]
    assert "DIFFERENT" in str(found["/me"])
    assert "equal" in str(found["/verify"])
