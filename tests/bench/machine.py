"""What it ran on: figures mean nothing without."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from tests.bench.stage import node_program, redis_program


def describe() -> dict[str, str]:
    """Processor, kernel and versions."""
    redis = subprocess.check_output([redis_program(), "--version"], text=True).split("v=")[1]  # noqa: S603
    found = {
        "processor": f"{_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Sanic": version("sanic"),
        "uvloop": version("uvloop"),
        "redis-py": version("redis"),
        "Redis": redis.split()[0],
    }
    if node := node_program():
        found["Node"] = subprocess.check_output([node, "--version"], text=True).strip()[1:]  # noqa: S603
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
