"""Users in SQLite, for the peers in Python: SQLAlchemy's asyncio on aiosqlite, WAL."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import UniqueConstraint, event, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.bench.peers import shared


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("appid", "openid"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    appid: Mapped[str]
    openid: Mapped[str]
    nickname: Mapped[str]
    avatar: Mapped[str]
    phone: Mapped[str | None]


class Accounts:
    def __init__(self, database: str) -> None:
        self._engine = create_async_engine(f"sqlite+aiosqlite:///{database}")
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        event.listen(self._engine.sync_engine, "connect", _use_wal)

    async def open(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    async def close(self) -> None:
        await self._engine.dispose()

    async def find_or_create(self, identity: dict[str, Any]) -> shared.User:
        openid = identity["openid"]
        its_row = select(User).where(User.appid == shared.APPID, User.openid == openid)
        async with self._sessions() as session:
            if (known := await session.scalar(its_row)) is not None:
                return shared.User(known.id, known.nickname, known.avatar, known.phone)
            values = {
                "id": secrets.token_hex(8),
                "appid": shared.APPID,
                "openid": openid,
                "nickname": shared.NICKNAME,
                "avatar": shared.AVATAR,
            }
            create = insert(User).values(values).on_conflict_do_nothing().returning(User.id)
            created = await session.scalar(create)
            await session.commit()
            user = (await session.scalars(its_row)).one()
        is_new = created is not None
        return shared.User(user.id, user.nickname, user.avatar, user.phone, is_new)


def _use_wal(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
