"""The command line as a process: exit codes, languages, and what it takes to say --help."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.ports import free_port
from tests.support.process import LINUX_ONLY, REPOSITORY, ServiceProcess, eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = LINUX_ONLY

HEAVY: Final = ("pydantic", "asyncio", "sqlalchemy", "sanic", "aiohttp", "redis", "logging")


async def command(home: Path, *words: str, **variables: str) -> tuple[int, str, str]:
    """Run it with no setting but these; its exit code and what it said on both streams."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=home,
        env={"PYTHONPATH": str(REPOSITORY), **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def service(home: Path, *words: str, **variables: str) -> tuple[int, str, str]:
    return await command(home, "-m", "service", *words, **variables)


@pytest.mark.parametrize(
    ("words", "variables", "code", "told"),
    [
        (["--help"], {}, 0, "exit codes: "),
        (["--help"], {"LANG": "zh_CN.UTF-8"}, 0, "退出码："),
        (["users", "ban", "--help"], {"LC_ALL": "zh_CN.UTF-8"}, 0, "封禁"),
        (["--help"], {"PORT": "canary", "ENVIRONMENT": "canary"}, 0, "exit codes: "),
        (["--version"], {}, 0, "MiniGate "),
        (["canary"], {}, 2, "invalid choice: 'canary'"),
        (["canary"], {"LANG": "zh_CN.UTF-8"}, 2, "错误"),
        ([], {"PORT": "canary-7"}, 2, "PORT: Input should be a valid integer"),
        (["serve"], {"PORT": "canary-7", "LANG": "zh_CN.UTF-8"}, 2, "配置无法使用："),
        (["check"], {"PORT": "canary-7"}, 2, "PORT: "),
        (["check"], {}, 0, "All settings can be used"),
        (["migrate"], {}, 2, "needs it: DATABASE_URL, SECRET_KEYS"),
        (["users", "delete", "x"], {}, 2, "--yes"),
        (["simulate"], {"SIMULATOR_PORT": "canary-7"}, 2, "SIMULATOR_PORT"),
        (["simulate"], {"ENVIRONMENT": "production"}, 2, "lets anybody log in"),
    ],
    ids=str,
)
async def test_exit_codes_and_languages(
    tmp_path: Path, words: list[str], variables: dict[str, str], code: int, told: str
) -> None:
    ended, out, err = await service(tmp_path, *words, **variables)
    assert (ended, told in out + err) == (code, True), out + err
    assert "canary-7" not in out + err
    assert "Traceback" not in err


LOADED: Final = """
import sys
from service.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit:
    print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["doctor", "--help"], ["canary"]])
async def test_help_loads_nothing_that_takes_long(tmp_path: Path, words: list[str]) -> None:
    _, out, _ = await command(tmp_path, "-c", LOADED, *words)
    loaded = out.partition("LOADED")[2].split()
    assert "service" in loaded
    assert not {*HEAVY} & {*loaded}


async def test_serving_loads_no_argparse_before_the_settings_are_read(tmp_path: Path) -> None:
    _, out, err = await command(tmp_path, "-c", LOADED, PORT="canary")
    assert "PORT: " in err
    loaded = out.partition("LOADED")[2].split()
    assert not {"argparse", "sqlalchemy", "sanic"} & {*loaded}


async def test_output_that_nobody_reads_is_no_traceback(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"{sys.executable} -m service check --json | true; exit ${{PIPESTATUS[0]}}",
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode in {0, 1}
    assert b"Traceback" not in err
    assert b"BrokenPipe" not in err


async def test_a_locale_without_chinese_letters_is_no_traceback(tmp_path: Path) -> None:
    code, out, err = await service(
        tmp_path, "--lang", "zh", "check", PYTHONIOENCODING="ascii", PYTHONUTF8="0"
    )
    assert (code, err) == (0, "")
    assert "\\u" in out


async def test_simulate_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    port = free_port()
    start = (sys.executable, "-m", "service", "simulate")
    async with ServiceProcess({"SIMULATOR_PORT": str(port)}, home=tmp_path, command=start) as one:
        await eventually(
            lambda: f"http://127.0.0.1:{port}" in one.output, within=15, what="it says where it is"
        )
        one.signal(signal.SIGTERM)
        assert await one.ended(within=5) == 0


async def test_ctrl_c_ends_a_command_with_130(tmp_path: Path) -> None:
    """Here doctor, which waits for a Redis that takes its time."""
    start = (sys.executable, "-m", "service", "doctor")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        variables = {"REDIS_URL": address, "REDIS_TIMEOUT_MS": "2000"}
        async with ServiceProcess(variables, home=tmp_path, command=start) as one:
            await eventually(lambda: "Redis ... " in one.output, within=15, what="it asks")
            one.interrupt()
            # What is under way with Redis is given its time.
            assert await one.ended(within=20) == 130
            assert "Traceback" not in one.output
            assert "Database" not in one.output
