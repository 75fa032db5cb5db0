"""Whose sessions lived when they were looked at lately: those users need not be asked about."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from service.core.models import Session

_MOST_USERS: Final = 30_000
"""In one generation: as many as can be asked about while it lasts."""
_MOST_WAITING: Final = 5_000
_LAST: Final = 20


class SeenSession(NamedTuple):
    """As much of a session as it takes to end it, and to say so."""

    user_id: str
    handle: str
    digest: str
    appid: str
    device: str


class LatelySeen:
    """Of a worker, between its checks of sessions and who looks after the users."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        """Those of this generation and the one before. Every check looks here."""
        self._newer: set[str] = set()
        self._waiting: list[SeenSession] = []
        self.last: deque[SeenSession] = deque(maxlen=_LAST)
        """The last that were added."""

    def add(self, session: Session) -> None:
        """Note a live session of a user who is not among `users`.

        Where too many wait, it is dropped: the user is among those who are added the next time.
        """
        if len(self._waiting) >= _MOST_WAITING:
            return
        if len(self._newer) >= _MOST_USERS:
            self.rotate()
        self.users.add(session.user_id)
        self._newer.add(session.user_id)
        one = SeenSession(
            session.user_id, session.handle, session.digest, session.appid, session.device
        )
        self._waiting.append(one)
        self.last.append(one)

    def take(self, most: int) -> list[SeenSession]:
        """Of those that were added, the first ones that nobody has taken yet."""
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        return taken

    def rotate(self) -> None:
        """Begin a new generation; who is in the last but one has to be added again."""
        self.users, self._newer = self._newer, set()

    def forget(self, user_id: str) -> None:
        """Have this user added again at the next check."""
        self.users.discard(user_id)
        self._newer.discard(user_id)
