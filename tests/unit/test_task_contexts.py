"""What is made in the midst of a request and works for several carries the id of none."""

from __future__ import annotations

import ast
from typing import Final

from tests.support.process import REPOSITORY

MAKERS: Final = {"create_task", "ensure_future", "call_soon", "call_later", "call_at"}
OWN: Final = {
    # Works for the one request that makes it.
    "core/background.py:create_task",
    "sql/places.py:ensure_future",
    # Are made outside of requests: at the start, by a signal, or by a task of their own.
    "http/connections.py:call_later",
    "redis/refresher.py:ensure_future",
    "sql/migrate.py:create_task",
    "supervisor.py:create_task",
    "wiring.py:create_task",
    "worker.py:call_later",
}


def made() -> dict[str, bool]:
    """Where tasks and callbacks are made, and whether each has a context of its own."""
    found: dict[str, bool] = {}
    for path in sorted((REPOSITORY / "service").rglob("*.py")):
        place = path.relative_to(REPOSITORY / "service").as_posix()
        if place.startswith("simulator/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = node.func.attr
                if name in MAKERS:
                    apart = any(one.arg == "context" for one in node.keywords)
                    key = f"{place}:{name}"
                    found[key] = found.get(key, True) and apart
    return found


def test_each_has_a_context_of_its_own_or_is_known_to_need_none() -> None:
    assert {place for place, apart in made().items() if not apart} == OWN
