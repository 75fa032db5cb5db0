"""The version is written down twice, and is one."""

from __future__ import annotations

import tomllib
from pathlib import Path

from service import __version__


def test_the_package_has_the_version_that_the_service_tells() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
