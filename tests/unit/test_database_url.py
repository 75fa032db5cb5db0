from __future__ import annotations

import ssl

import certifi
import pytest

from service.config.database_url import driver_url


@pytest.mark.parametrize(
    ("given", "driven", "arguments"),
    [
        ("sqlite:///var/x.db", "sqlite:///var/x.db", {}),
        ("sqlite+aiosqlite:////var/x.db", "sqlite:////var/x.db", {}),
        ("postgres://u:p@h:5/d", "postgresql+asyncpg://u:p@h:5/d", {}),
        ("postgresql://u@h/d?sslmode=require", "postgresql+asyncpg://u@h/d", {"ssl": "require"}),
        (
            "postgresql+psycopg://u@h/d?channel_binding=require&application_name=gate",
            "postgresql+asyncpg://u@h/d",
            {"server_settings": {"application_name": "gate"}},
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
    ],
)
def test_what_no_connection_can_be_made_of_is_refused_without_being_shown(address: str) -> None:
    with pytest.raises(ValueError, match="must ") as refusal:
        driver_url(address)
    assert "canary" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
