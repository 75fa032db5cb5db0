"""`python -m service`: the service, or what a command says.

What takes long to import is imported where it is needed: `--help` needs none of
it, and who has made a mistake in the settings is told at once.
"""

from __future__ import annotations

import sys

from service.cli import signals

signals.begin(as_program=__name__ == "__main__")

from service.cli.program import INTERRUPTED, run  # noqa: E402 # after the signals


def main(arguments: list[str]) -> None:
    """Serve, or do what the arguments say; always ends in SystemExit (docs/adr/0039)."""
    sys.exit(run(arguments))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:  # before there was a supervisor to heed it
        sys.exit(INTERRUPTED)
