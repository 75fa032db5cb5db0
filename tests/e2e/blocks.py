"""The code blocks of the documents for people, and a shell to paste them into."""

from __future__ import annotations

import asyncio
import os
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICE, SIMULATOR = "127.0.0.1:8000", "127.0.0.1:8001"
_END_OF_LINE = "--- end of line"


def blocks(document: str, language: str) -> list[str]:
    """What stands in the fences of this language, in order; those in lists as well."""
    fence = rf"^( *)```{language}\n(.*?)^\1```$"
    found = re.findall(fence, (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def without_comments(block: str, mark: str) -> list[str]:
    lines = [re.sub(rf"(^|\s+){mark} .*", "", line) for line in block.splitlines()]
    return [line for line in lines if line]


async def pasted(lines: str, addresses: dict[str, str]) -> list[str]:
    """Run the lines in one shell; returns what each of them printed."""
    for written, actual in addresses.items():
        lines = lines.replace(written, actual)
    script = "".join(f"{line}\necho '{_END_OF_LINE}'\n" for line in lines.splitlines())
    shell = await asyncio.create_subprocess_exec(
        "bash",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await shell.communicate(script.encode())
    assert complaints.decode() == ""
    *outputs, rest = output.decode().split(f"{_END_OF_LINE}\n")
    assert rest == ""
    return [one.strip() for one in outputs]
