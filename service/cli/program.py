"""From arguments to an exit code."""

from __future__ import annotations

import os
import sys
from typing import Final

from service.cli import signals
from service.cli.language import Text, language_of
from service.cli.output import Output
from service.cli.refusal import FAILED, INTERRUPTED, Refused

__all__ = ["INTERRUPTED", "run"]

_BUG: Final = Text(
    "This should not have happened; please report it: {what}", "出现意外错误，请反馈：{what}"
)
_SERVING: Final[tuple[list[str], ...]] = ([], ["serve"])
"""What the service is started by; as it is, so that nothing has to be imported for it."""


def run(arguments: list[str]) -> int:
    """Do what they say; returns the exit code. Raises SystemExit for --help and wrong usage."""
    output = Output(language_of(arguments, os.environ))
    try:
        return _serve() if arguments in _SERVING else _obey(arguments, output)
    except Refused as refused:
        output.complain(output.text(refused.headline))
        for line in refused.details.splitlines():
            output.complain(f"  {line}")
        return refused.code
    except BrokenPipeError:
        # Whoever read has enough; nor is there anything left that could be written at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _serve() -> int:
    signals.pass_over()
    from service.cli.serve import serve  # noqa: PLC0415 # what takes long

    return serve()


def _obey(arguments: list[str], output: Output) -> int:
    from service.cli.arguments import parse  # noqa: PLC0415 # argparse is not for `serve`

    for stream in (sys.stdout, sys.stderr):  # a nickname may be in letters that a locale lacks
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    parsed = parse(arguments, output.language)
    if parsed.command in {None, "serve"}:
        return _serve()
    try:
        code: int = parsed.run(parsed, output)
    except (Refused, BrokenPipeError):
        raise
    except Exception as fault:  # noqa: BLE001 # a bug; a traceback could show a secret
        from service import logs  # noqa: PLC0415 # as above

        output.complain(output.text(_BUG, what=logs.describe(fault)))
        return FAILED
    return code
