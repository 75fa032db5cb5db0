"""The same load for everybody: so many requests per second, whether answers come or not.

Over as many connections as everybody needs to do the most that they can: more
would let requests wait in the server instead of here, and redis-py's pools, of
a hundred connections unless told otherwise, refuse some of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tests.bench.contestants import BARE, MINIGATE

if TYPE_CHECKING:
    from tests.bench.rounds import Pace, Table
    from tests.bench.scene import Scene

_SHARES: Final = ((0.2, BARE), (0.4, BARE), (0.6, MINIGATE))
"""Of what somebody can do at most: a load for all, one for most, and one that is MiniGate's own."""


@dataclass(frozen=True, slots=True)
class Load:
    """What everybody did with so many requests per second."""

    rate: float
    share: float
    of: str
    table: Table


def measure(scene: Scene, most: Table, pace: Pace) -> list[Load]:
    """Light, middling, heavy; `most`: what each can do when it is asked all the time."""
    return [_load(scene, most, pace, share, of) for share, of in _SHARES]


def _load(scene: Scene, most: Table, pace: Pace, share: float, of: str) -> Load:
    rate = round(share * most.standings()[of].rate.median, -2)
    task = replace(scene.crowd.validation, rate=rate)
    who = [scene.everybody.answerer, *scene.everybody.validate]
    table = scene.play(task, who, pace, rehearse=False)
    return Load(rate, share, of, table)
