from __future__ import annotations

import stat
from pathlib import Path

import pytest

from service.private_files import make_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("before", "after"), [(0o755, 0o700), (0o640, 0o600), (0o2770, 0o2700)])
def test_what_is_open_is_closed_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, before: int, after: int
) -> None:
    path = tmp_path / "kept"
    path.touch()
    path.chmod(before)
    make_private(path, tmp_path / "not there")
    make_private(path)
    assert mode(path) == after
    assert caplog.messages == [f"{path} was open to others ({before:04o}); no more"]


def test_what_is_private_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "kept"
    path.touch()
    path.chmod(0o500)
    make_private(path)
    assert (mode(path), caplog.messages) == (0o500, [])


def test_what_somebody_else_owns_is_told_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "kept"
    path.touch()
    path.chmod(0o644)
    monkeypatch.setattr(Path, "chmod", refuse)
    make_private(path)
    assert caplog.messages == [f"{path} is open to others: Operation not permitted"]
