"""What the user store needs of a database: SQLite and PostgreSQL each provide it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sqlalchemy import false, update

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Insert, Select, Table, Update

T = TypeVar("T")

TIMEOUT_SECONDS: Final = 1.8
"""How long a read or a change may take, once it is its turn."""


def change_nothing(table: Table) -> Update:
    """A change of no row: it needs the locks of any, and is refused where there can be none."""
    # Of its key alone: there may be columns that an older schema does not have.
    return update(table).values({key: key for key in table.primary_key}).where(false())


class SqlDatabase(Protocol):
    """Runs blocking functions on a connection of SQLAlchemy's, beside the event loop."""

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What is raised, as far as one can know, when the database fails; the rest may be bugs."""
        ...

    @property
    def write_seconds(self) -> float:
        """How long a request waits for a change."""
        ...

    @property
    def changed_at(self) -> float:
        """When the last change was made, in monotonic seconds."""
        ...

    @property
    def dialect(self) -> str:
        """What SQLAlchemy calls this kind of database."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether the way to it costs more than an answer: then questions go together."""
        ...

    def pool_use(self) -> tuple[int, int]:
        """How many connections are in use for requests, and how many there may be."""
        ...

    def upsert(self, table: Table) -> Insert:
        """The dialect's INSERT, which knows ON CONFLICT."""
        ...

    async def read(self, question: Callable[[Connection], T]) -> T:
        """What `question` returns: one statement, on a connection that it does not keep.

        Takes TIMEOUT_SECONDS at most, from its turn on.
        """
        ...

    async def first(self, statement: Select[Any], **values: str) -> Any | None:
        """The first row of a `statement` that is made once and asked at every login; else None.

        Its columns have the statement's names. Takes as long as a read.
        """
        ...

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Make the `change` in a transaction of its own: all of it is done, or nothing."""
        ...

    async def probe(self, question: Callable[[Connection], T], *, table: Table) -> T:
        """What `question` returns, if the `table` takes changes now; changes nothing."""
        ...

    async def maintain(self, work: Callable[[Connection], T]) -> T:
        """Do in one transaction what takes as long as it takes: migrations, not requests.

        Of several at once one works, in whatever process, and the others wait for their turn.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...
