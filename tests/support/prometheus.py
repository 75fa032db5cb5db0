"""Debian's promtool, and the expressions that operators are given."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.process import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALERTS: Final = REPOSITORY / "config" / "prometheus" / "alerts.yml"
DASHBOARD: Final = REPOSITORY / "config" / "grafana" / "dashboard.json"
_PROMTOOL: Final = shutil.which("promtool")
NEEDS_PROMTOOL: Final = pytest.mark.skipif(
    _PROMTOOL is None, reason="no promtool here: tests/servers.sh installs it (prometheus)"
)
_SERIES: Final = re.compile(r"\bminigate_[a-z_]+\b")


def promtool(*arguments: str | Path, given: str | None = None) -> str:
    """Its output; it has to find nothing wrong."""
    assert _PROMTOOL is not None
    done = subprocess.run(  # noqa: S603 # Debian's
        [_PROMTOOL, *map(str, arguments)], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def dashboard() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return made


def dashboard_expressions() -> Iterator[str]:
    """As Grafana would ask Prometheus, over all that its variables leave open."""
    board = dashboard()
    annotations = [one["expr"] for one in board["annotations"]["list"]]
    targets = [one["expr"] for panel in board["panels"] for one in panel.get("targets", ())]
    for expression in (*annotations, *targets):
        yield expression.replace("$__rate_interval", "1m").replace("$instance", ".*")


def series_named() -> set[str]:
    """Every series of ours in an alert or on the dashboard."""
    texts = (ALERTS.read_text(), *dashboard_expressions())
    # In the texts of alerts families stand without `_bucket` and so on: those are none.
    expressions = re.sub(r"(?ms)^ +annotations:.*?(?=^ +- alert|\Z)", "", texts[0])
    return set(_SERIES.findall("\n".join((expressions, *texts[1:]))))
