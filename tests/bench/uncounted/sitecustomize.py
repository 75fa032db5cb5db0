"""On a worker's path, it has the worker count nothing: what counting costs is the difference."""  # noqa: INP001 # Python finds it by its name

import sys

if "service.worker" in sys.orig_argv:
    from service.metrics.tally import Tally

    Tally.observe = lambda *_: None  # type: ignore[method-assign]
