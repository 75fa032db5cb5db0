from __future__ import annotations

import errno
import sqlite3
import ssl
from typing import NoReturn

import pytest
from asyncpg import DiskFullError, ReadOnlySQLTransactionError
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, OperationalError

from service.core.fault_cause import name_fault

SECRET = "redis://user:password-canary@host/path-canary"


def raised(fault: Exception, *, by: Exception | None = None) -> Exception:
    """As it is caught; `by`: what it was raised for."""

    def act() -> NoReturn:
        if by is None:
            raise fault
        try:
            raise by
        except Exception:  # noqa: BLE001 # any
            raise fault  # noqa: B904 # as drivers do

    with pytest.raises(type(fault)) as caught:
        act()
    return caught.value


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (errno.ENOSPC, "ENOSPC: No space left on device"),
        (errno.EROFS, "EROFS: Read-only file system"),
        (errno.EACCES, "EACCES: Permission denied"),
        (errno.EMFILE, "EMFILE: Too many open files"),
    ],
)
def test_a_disk_is_named(number: int, name: str) -> None:
    fault = raised(OSError(number, "text-canary", "/path-canary"))
    assert name_fault(fault) == f"{type(fault).__name__} ({name})"
    rust = RuntimeError(f"Unable to open file /path-canary#1: text (os error {number})\n\nDebug")
    assert name_fault(rust) == f"RuntimeError ({name})"


def test_what_a_database_says_is_found_behind_sqlalchemy() -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect("file:/none/path-canary?mode=ro", uri=True)
    outer = OperationalError("SELECT canary", {"canary": 1}, caught.value)
    assert name_fault(outer) == "OperationalError (SQLITE_CANTOPEN)"
    postgres = raised(OperationalError("x", {}, RuntimeError()), by=DiskFullError("canary"))
    assert name_fault(postgres) == "OperationalError"  # the original counts, not the context
    assert name_fault(DiskFullError("canary")) == "DiskFullError (SQLSTATE 53100)"


def test_a_state_of_postgresql_is_named_whatever_sqlalchemy_makes_of_it() -> None:
    dialect = AsyncAdapt_asyncpg_dbapi.Error("canary", ReadOnlySQLTransactionError("canary"))
    dialect.__cause__ = ReadOnlySQLTransactionError("canary")
    outer = DBAPIError("UPDATE canary", {"canary": 1}, dialect)
    named = "DBAPIError (SQLSTATE 25006: ReadOnlySQLTransactionError)"
    assert name_fault(outer) == named


def test_a_certificate_is_named_with_what_to_do() -> None:
    wrong = ssl.SSLCertVerificationError(1, "text-canary")
    wrong.verify_message = "certificate has expired"
    fault = raised(ConnectionError(SECRET), by=wrong)
    expired = "ConnectionError (certificate verify failed: certificate has expired"
    assert name_fault(fault) == f"{expired})"
    assert name_fault(fault, on_tls="do this") == f"{expired}: do this)"


def test_tls_that_is_none_is_named() -> None:
    wrong = ssl.SSLError(1, "text-canary")
    wrong.reason = "WRONG_VERSION_NUMBER"
    assert name_fault(wrong) == "SSLError (TLS: WRONG_VERSION_NUMBER)"
    refused = ConnectionError('PostgreSQL server at "canary" rejected SSL upgrade')
    assert name_fault(refused, on_tls="x") == "ConnectionError (the server speaks no TLS)"


@pytest.mark.parametrize(
    "fault",
    [ValueError(SECRET), OSError(SECRET), OSError(99999, SECRET), TimeoutError(), KeyError(1)],
)
def test_of_what_is_not_known_only_the_kind_is_told(fault: Exception) -> None:
    assert name_fault(fault) == type(fault).__name__
    assert "canary" not in name_fault(raised(RuntimeError(SECRET), by=fault))


def test_faults_that_go_round_in_a_circle_have_an_end() -> None:
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    assert name_fault(one) == "ValueError"
