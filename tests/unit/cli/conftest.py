"""Commands, run in this process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from service.cli import program
from service.config.settings import Settings
from tests.support.running import _own_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Ended(NamedTuple):
    """What became of a command."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


class Cli(Protocol):
    """Runs one with these variables and no other setting."""

    def __call__(self, *arguments: str, **variables: str) -> Ended: ...


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, "redis_tls_url", "lc_all", "lc_messages"):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")

    def run(*arguments: str, **variables: str) -> Ended:
        before = dict(os.environ)
        os.environ.update(variables)
        capsys.readouterr()
        try:
            code: object = program.run([*arguments])
        except SystemExit as ended:
            code = ended.code
        finally:  # a command takes the settings out of the environment
            os.environ.clear()
            os.environ.update(before)
        assert isinstance(code, int)
        return Ended(code, *capsys.readouterr())

    umask = os.umask(0o077)
    os.umask(umask)
    with _own_log():
        yield run
    os.umask(umask)
