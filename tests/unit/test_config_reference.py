"""The lists of settings for people agree with the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "config" / "defaults.env"
NONE = {"README.md": "none", "README.zh-CN.md": "无"}


def written(value: object) -> str | None:
    """A default as one would write it in the environment; None for what has none."""
    if isinstance(value, tuple):
        return ",".join(value) or None
    if isinstance(value, bool):
        return str(value).lower()
    return None if value in {None, ""} else str(value)


DEFAULTS: Mapping[str, str | None] = {
    name.upper(): written(field.default) for name, field in Settings.model_fields.items()
}


@pytest.mark.parametrize("readme", NONE)
def test_a_readme_lists_every_setting_once_with_its_default(readme: str) -> None:
    rows = re.findall(
        rf"^\| `([A-Z_]+)` \| (?:`([^`]+)`|{NONE[readme]}) \|",
        (ROOT / readme).read_text(),
        re.MULTILINE,
    )
    assert [(name, default or None) for name, default in rows] == list(DEFAULTS.items())


def test_the_reference_file_gives_every_setting_once_with_its_default() -> None:
    rows = re.findall(r"^(#?)([A-Z_]+)=(.*)$", REFERENCE.read_text(), re.MULTILINE)
    assert sorted(name for _, name, _ in rows) == sorted(DEFAULTS)
    given = {name: None if mark else default for mark, name, default in rows}
    assert given == DEFAULTS
    assert all(not default for mark, _, default in rows if mark)


def test_the_reference_file_explains_every_setting() -> None:
    blocks = REFERENCE.read_text().strip().split("\n\n")
    for block in blocks:
        lines = block.splitlines()
        assert re.match(r"# \S", lines[0]), block
        assert all(re.match(r"# |#?[A-Z_]+=", line) for line in lines), block


def test_the_service_takes_the_reference_file_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A copy of it is a newcomer's `.env`."""
    for name in (*DEFAULTS, "REDIS_TLS_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text(REFERENCE.read_text())
    monkeypatch.chdir(tmp_path)
    assert load_settings() == Settings()
