"""Where the processes of the service count together, and what is left of those that have ended."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from service.metrics import folder as folders
from service.metrics.folder import forget_gauges, metrics_folder, read_main
from service.metrics.merging import Merging
from service.metrics.workers import WorkerMetrics
from tests.support.process import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from prometheus_client import Metric

COUNT = """
    from service.metrics.tally import flush_all
    series.logins.add("ok", "", by=3)
    series.sql_seconds.observe(0.02, "find")
    series.connections.set(5)
    flush_all()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Instead of the machine's memory, which other runs use as well."""
    monkeypatch.setattr(folders, "_IN_MEMORY", tmp_path)
    return tmp_path


@pytest.fixture
def folder(place: Path) -> Iterator[Path]:
    with metrics_folder() as made:
        assert made is not None
        assert made.parent == place
        yield made


def run(folder: Path, identity: str, code: str) -> subprocess.CompletedProcess[str]:
    """`code` in a process that counts there by this name."""
    begin = f"""
    from pathlib import Path
    from service.metrics.folder import join
    join(Path({str(folder)!r}), {identity!r})
    from service.metrics import series
    """
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", textwrap.dedent(begin) + textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def seen(folder: Path) -> dict[str, float]:
    """Every sample, as any worker that is asked has it."""
    code = """
    import asyncio
    from service.metrics.scrape import render
    print(asyncio.run(render(""))[0].decode())
    """
    text = run(folder, "9a", code)
    assert text.returncode == 0, text.stderr
    lines = (line.rpartition(" ") for line in text.stdout.splitlines() if line[:1] not in {"", "#"})
    return {name: float(value) for name, _, value in lines}


def test_nobody_else_may_look_into_it_and_it_goes_with_the_main_process(place: Path) -> None:
    with metrics_folder() as folder:
        assert folder is not None
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert run(folder, "1a", COUNT).returncode == 0
    assert list(place.iterdir()) == []


def test_what_a_killed_main_process_left_is_removed_what_lives_stays(place: Path) -> None:
    code = """
    import os, signal
    from pathlib import Path
    from service.metrics import folder
    folder._IN_MEMORY = Path(os.environ["PLACE"])
    with folder.metrics_folder() as made:
        os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PLACE": str(place)}
    killed = subprocess.run(  # noqa: S603
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    [left] = place.iterdir()
    with metrics_folder() as mine, metrics_folder() as another:
        assert not left.exists()
        assert mine is not None
        assert another is not None
        assert mine.exists()


def test_where_there_is_no_room_the_service_goes_on(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with metrics_folder() as folder:
        assert folder is None
        workers = WorkerMetrics(folder, wanted=2)
        assert workers.place("1a") is None
        workers.tell(2)
        workers.count_restart("died")
        workers.forget("1a")
    assert "no folder" in caplog.text
    assert list(place.iterdir()) == []


def test_a_worker_goes_on_in_the_counts_of_the_one_before_it(folder: Path) -> None:
    kill = "\n    import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    for _ in range(3):
        assert run(folder, "1a", COUNT + kill).returncode == -signal.SIGKILL
    assert run(folder, "2a", COUNT).returncode == 0
    files = {one.name for one in folder.iterdir()}
    found = seen(folder)
    assert found['minigate_logins_total{errcode="",outcome="ok"}'] == 12
    assert found['minigate_sql_call_duration_seconds_count{operation="find"}'] == 4
    assert found['minigate_sql_call_duration_seconds_bucket{le="0.025",operation="find"}'] == 4
    assert found['minigate_sql_call_duration_seconds_bucket{le="0.01",operation="find"}'] == 0
    # However often it was started anew.
    assert len([name for name in files if name.endswith("_1a.db")]) == len(folders._SIZES)


def test_files_are_added_up_as_prometheus_client_does_it(folder: Path) -> None:
    more = """
    import random, time
    for operation in ("read", "create", "GET"):
        for _ in range(50):
            series.redis_seconds.observe(random.expovariate(10), operation)
    series.redis_batch.counts[3] += 4
    series.loop_lag_max.set(random.random())
    series.access_token_fetched.labels("wx1").set(random.random())
    series.live_sessions.labels("wx1").set(random.random())
    series.pool_used.labels("sql").set(random.random())
    flush_all()
    """
    for identity in ("1a", "1b", "2a"):
        done = run(folder, identity, textwrap.dedent(COUNT) + textwrap.dedent(more))
        assert done.returncode == 0, done.stderr

    def samples(metrics: Iterable[Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for metric in metrics
            for sample in metric.samples
        }

    merging = Merging()
    for path in folder.glob("*.db"):
        merging.add(path)
    ours = samples(merging.metrics())
    collector = MultiProcessCollector(None, path=str(folder))
    theirs = samples(collector.collect())
    assert len(ours) > 100
    assert ours == pytest.approx(theirs)


def test_the_present_of_the_dead_is_forgotten_their_counts_are_not(folder: Path) -> None:
    for identity in ("1a", "2a"):
        assert run(folder, identity, COUNT).returncode == 0
    assert seen(folder)["minigate_client_connections"] == 10
    forget_gauges(folder, "1a")
    found = seen(folder)
    assert found["minigate_client_connections"] == 5
    assert found['minigate_logins_total{errcode="",outcome="ok"}'] == 6


def test_room_is_taken_before_anything_is_counted(folder: Path) -> None:
    """Who writes to a mapped page that there is no room for is killed by the kernel."""
    assert run(folder, "1a", COUNT).returncode == 0
    for kind, size in folders._SIZES.items():
        status = (folder / f"{kind}_1a.db").stat()
        assert status.st_size == size, kind
        assert status.st_blocks * 512 >= size, kind


def test_a_variable_of_other_programs_changes_nothing(tmp_path: Path) -> None:
    code = "from service.metrics import series; series.logins.flush()"
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)  # noqa: S603
    assert list(tmp_path.iterdir()) == []


def test_the_main_process_needs_nothing_of_prometheus() -> None:
    code = "import sys, service.__main__; sys.exit('prometheus_client' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)  # noqa: S603


def test_what_only_the_main_process_knows(folder: Path) -> None:
    workers = WorkerMetrics(folder, wanted=3)
    assert workers.place("1b") == (folder, "1b")
    workers.tell(2)
    workers.count_restart("hung")
    workers.count_restart("died")
    workers.count_restart("died")
    found = seen(folder)
    assert found["minigate_workers"] == 2
    assert found["minigate_workers_wanted"] == 3
    assert found['minigate_worker_restarts_total{reason="died"}'] == 2
    assert found['minigate_worker_restarts_total{reason="hung"}'] == 1
    assert found['minigate_worker_restarts_total{reason="asked"}'] == 0
    assert found["minigate_start_time_seconds"] > 1.7e9


@pytest.mark.parametrize("text", ["", "{", "[]", '{"workers": "many", "restarts": 3}'])
def test_what_is_no_word_of_the_main_process_is_left_out(folder: Path, text: str) -> None:
    (folder / "main.json").write_text(text)
    assert isinstance(read_main(folder), dict)
    assert "minigate_workers" not in seen(folder)
