"""What a command writes: lines, tables, JSON, and a question before what cannot be undone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from service.cli.language import Text
from service.cli.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.cli.language import Language

_REALLY: Final = Text("{question} [y/N] ", "{question} [y/N] ")
_NOT_ASKED: Final = Text(
    "Nobody is there to be asked: add --yes", "这里没有终端可以确认：请加上 --yes"
)
_YES: Final = frozenset({"y", "yes", "是"})


class Output:
    """Standard output and error, in one language."""

    def __init__(
        self,
        language: Language,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        into: TextIO | None = None,
    ) -> None:
        """`into`: what answers come from. Without the three it is the process's own."""
        self.language = language
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._in = into or sys.stdin

    def text(self, text: Text, /, **values: object) -> str:
        """The text in the reader's language."""
        return text.in_(self.language, **values)

    def say(self, text: Text, /, **values: object) -> None:
        """A line of the result."""
        self.line(self.text(text, **values))

    def line(self, line: str = "") -> None:
        """A line of the result, as it is."""
        print(visible(line), file=self._out, flush=True)  # a command speaks so

    def begin(self, line: str) -> None:
        """The first part of a line, which is seen before the rest is known."""
        print(visible(line), end="", file=self._out, flush=True)  # as above

    def complain(self, line: str) -> None:
        """A line of what is wrong, to standard error."""
        print(visible(line), file=self._err, flush=True)  # as above

    def json(self, value: Any) -> None:
        """One JSON object in one line; what is not shown in it, or moves what is, as an escape."""
        import json  # noqa: PLC0415 # few ask for it

        self.line(
            "".join(
                one if one.isprintable() else json.dumps(one)[1:-1]
                for one in json.dumps(value, ensure_ascii=False)
            )
        )

    def table(self, head: Sequence[Text], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as what is in them, Chinese characters counted as two."""
        lines = [
            [self.text(name) for name in head],
            *([visible(cell) for cell in row] for row in rows),
        ]
        widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = (
                cell + " " * (width - _width(cell))
                for cell, width in zip(line, widths, strict=True)
            )
            self.line("  ".join(cells).rstrip())

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Whether it may be done: `yes` says so, or whoever sits at the terminal.

        Raises Refused where nobody sits there.
        """
        if yes:
            return True
        if not self._in.isatty():
            raise Refused(_NOT_ASKED)
        print(  # as above
            visible(self.text(_REALLY, question=question)), end="", file=self._err, flush=True
        )
        return self._in.readline().strip().lower() in _YES


def visible(text: str) -> str:
    """`text` with what moves a cursor, or begins a line of its own, as an escape."""
    if text.isprintable():
        return text
    from service import logs  # noqa: PLC0415 # seldom needed, and --help is to be fast

    return logs.visible(text)


def _width(text: str) -> int:
    from unicodedata import east_asian_width  # noqa: PLC0415 # as above

    return len(text) + sum(east_asian_width(one) in "WF" for one in text)
