from __future__ import annotations

import ssl

import certifi
import pytest

from service.config.database_url import driver_url, place_of


@pytest.mark.parametrize(
    ("given", "driven", "arguments"),
    [
        ("sqlite:///var/x.db", "sqlite:///var/x.db", {}),
        ("sqlite+aiosqlite:////var/x.db", "sqlite:////var/x.db", {}),
        ("postgres://u:p@h:5/d", "postgresql+asyncpg://u:p@h:5/d", {}),
        ("postgresql://u@h/d?sslmode=require", "postgresql+asyncpg://u@h/d", {"ssl": "require"}),
        (
            "postgresql+psycopg://u@h/d?application_name=gate",
            "postgresql+asyncpg://u@h/d",
            {"server_settings": {"application_name": "gate"}},
        ),
        (
            "postgresql://u@/d?host=a:1&host=b:2&target_session_attrs=read-write",
            "postgresql+asyncpg://u@/d?host=a%3A1&host=b%3A2&target_session_attrs=read-write",
            {},
        ),
        *(
            (
                f"postgresql://u@h/d?{pooled}",
                "postgresql+asyncpg://u@h/d",
                {"statement_cache_size": 0},
            )
            for pooled in (
                "pgbouncer=true",
                "statement_cache_size=0",
                "prepared_statement_cache_size=0",
            )
        ),
        ("postgresql://u@/d?host=/run/pg", "postgresql+asyncpg://u@/d?host=%2Frun%2Fpg", {}),
    ],
)
def test_every_usual_spelling_reaches_our_driver(
    given: str, driven: str, arguments: dict[str, object]
) -> None:
    url, found = driver_url(given)
    assert url.render_as_string(hide_password=False) == driven
    assert found == arguments


@pytest.mark.parametrize("mark", "/?#:[]")
def test_a_password_is_read_whole(mark: str) -> None:
    url, _ = driver_url(f"postgresql://u:one{mark}two@h:5/d?sslmode=require")
    assert (url.password, url.host, url.port, url.database) == (f"one{mark}two", "h", 5, "d")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:canary@canary@h/d",
        "postgresql://u:canary@canary/canary@h/d",
        "postgresql://h/d?sslrootcert=/canary@canary.pem",
    ],
)
def test_a_password_that_would_be_read_in_part_is_to_be_encoded(address: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded: %40") as refusal:
        driver_url(address)
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        ("connect_timeout=canary", "connect_timeout would have no effect"),
        ("channel_binding=require", "channel_binding would have no effect"),
        ("options=-c%20canary", "options would have no effect"),
        ("canary=1", "one of another name would have no effect"),
        ("pgbouncer=canary", "pgbouncer=true, or no pgbouncer"),
        ("statement_cache_size=100", "statement_cache_size=0, or no"),
        ("target_session_attrs=canary", "prefer-standby for target_session_attrs"),
    ],
)
def test_parameters_that_nothing_heeds_are_refused_by_name(parameter: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refusal:
        driver_url(f"postgresql://h/d?sslmode=require&{parameter}")
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(("mode", "checked"), [("verify-ca", False), ("verify-full", True)])
def test_a_root_certificate_is_used(mode: str, checked: bool) -> None:  # noqa: FBT001
    _, arguments = driver_url(f"postgres://u@h/d?sslmode={mode}&sslrootcert={certifi.where()}")
    context = arguments["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, checked)


@pytest.mark.parametrize("address", ["mysql://h/d", "nonsense", ""])
def test_other_databases_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"must begin|not a database"):
        driver_url(address)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:canary@canary@h:notaport/d",
        "postgresql://u:p@canary:0/d",
        "postgresql://u:p@canary:65536/d",
        "postgresql://canary/d?sslmode=canary",
        "postgresql://canary/d?ssl=true",
        "postgresql://h/d?sslmode=require&sslmode=canary",
        "postgresql://h/d?sslmode=verify-full&sslrootcert=/canary.pem",
        f"postgresql://h/d?sslmode=verify-full&sslrootcert={__file__}",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///canary?mode=memory",
        "sqlite://canary.db",
        "sqlite://canary/users.db",
        "sqlite:///users.db?canary=1",
    ],
)
def test_what_no_connection_can_be_made_of_is_refused_without_being_shown(address: str) -> None:
    with pytest.raises(ValueError, match="must ") as refusal:
        driver_url(address)
    assert "canary" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("postgres://user:canary@host/users?sslmode=disable", "host:5432"),
        ("postgresql://user:canary@host:6543/users", "host:6543"),
        ("postgresql://user:canary@/users?host=/run/postgresql", "/run/postgresql:5432"),
        ("sqlite:////var/lib/users.db", "/var/lib/users.db"),
    ],
)
def test_the_log_shows_where_it_leads_and_no_password(address: str, place: str) -> None:
    assert place_of(address) == place
