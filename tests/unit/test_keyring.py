from __future__ import annotations

import pytest

from service.stores.keyring import Keyring

OLD, NEW = "old secret of the operator, long enough", "new secret of the operator, long enough"


def test_what_is_sealed_opens_for_its_owner_only() -> None:
    ring = Keyring([OLD], purpose="test")
    sealed = ring.seal(b"plain", owner="alice")
    assert ring.open(sealed, owner="alice") == b"plain"
    assert ring.open(sealed, owner="bob") is None


@pytest.mark.bar("E2")
def test_two_sealings_of_one_text_differ() -> None:
    ring = Keyring([OLD], purpose="test")
    assert ring.seal(b"plain", owner="a") != ring.seal(b"plain", owner="a")


def test_a_new_key_in_front_seals_and_the_old_one_opens() -> None:
    sealed = Keyring([OLD], purpose="test").seal(b"plain", owner="a")
    both = Keyring([NEW, OLD], purpose="test")
    assert both.open(sealed, owner="a") == b"plain"
    resealed = both.seal(b"plain", owner="a")
    assert Keyring([NEW], purpose="test").open(resealed, owner="a") == b"plain"
    assert Keyring([OLD], purpose="test").open(resealed, owner="a") is None


def test_purposes_do_not_open_each_other() -> None:
    sealed = Keyring([OLD], purpose="session").seal(b"plain", owner="a")
    assert Keyring([OLD], purpose="phone").open(sealed, owner="a") is None


@pytest.mark.parametrize("at", [0, 5, 20, -1])
def test_a_single_changed_character_opens_nothing(at: int) -> None:
    ring = Keyring([OLD], purpose="test")
    sealed = list(ring.seal(b"plain text", owner="a"))
    sealed[at] = "A" if sealed[at] != "A" else "Q"
    assert ring.open("".join(sealed), owner="a") is None


@pytest.mark.parametrize("junk", ["", "A", "====", "é", "A" * 500, "not base64 !"])
def test_junk_opens_nothing(junk: str) -> None:
    assert Keyring([OLD], purpose="test").open(junk, owner="a") is None
