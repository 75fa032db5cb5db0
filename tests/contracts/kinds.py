"""The kinds of Redis that a store's promises are looked at on."""

from __future__ import annotations

from typing import Final

import pytest

from tests.support.process import LINUX_ONLY

SERVER: Final = "redis-server"
CLUSTER: Final = "redis-cluster"
CLUSTER_MARKS: Final = LINUX_ONLY
FAKE: Final = "fakeredis"
REAL: Final = (SERVER, CLUSTER)
"""Without a mark."""

ALSO_FAKEREDIS: Final = pytest.mark.redis(FAKE, *REAL)
"""What `make run` cannot do without where it has to fall back to fakeredis."""
ONE_KIND: Final = pytest.mark.redis(SERVER)
"""Where time passes, which it does on all of them alike."""
