from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.core import errors
from service.core.errors import (
    InvalidRequest,
    OperatorTokenRefused,
    PhoneTaken,
    ServiceError,
    WeChatBusy,
    WeChatUnavailable,
    error_classes,
)

TABLE = error_classes()


def test_codes_and_names_are_unique() -> None:
    classes = [cls for cls in _leaves(ServiceError) if "code" in vars(cls)]
    assert len({cls.code for cls in classes}) == len(classes) == len(TABLE)
    assert len({cls.error for cls in classes}) == len(classes)


def _leaves(root: type[ServiceError]) -> list[type[ServiceError]]:
    below = [leaf for child in root.__subclasses__() for leaf in _leaves(child)]
    return [root, *below]


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    """A group has a status in place of a code; what has a bar before it is of the last group."""
    drawn: dict[str, tuple[int, str]] = {}
    group = ""
    for bar, name, number in re.findall(r"(│   )?[├└]── (\w+) \(?(\d+)", errors.__doc__ or ""):
        assert name not in drawn
        drawn[name] = int(number), group if bar else "ServiceError"
        group = name if int(number) < 1000 else group
    classes = [cls for cls in _leaves(ServiceError)[1:] if not cls.__name__.startswith("_")]
    assert drawn == {
        cls.__name__: (getattr(cls, "code", cls.status), parent(cls)) for cls in classes
    }


def parent(cls: type[ServiceError]) -> str:
    names = [one.__name__ for one in cls.__mro__[1:]]
    return next(name for name in names if not name.startswith("_"))


@pytest.mark.parametrize("cls", TABLE.values(), ids=lambda cls: cls.error)
def test_every_error_has_its_status_and_two_texts(cls: type[ServiceError]) -> None:
    assert cls.code // 100 == cls.status
    assert re.search("[\u4e00-\u9fff]", cls.zh)
    assert cls.en.isascii()


@pytest.mark.parametrize(
    "error",
    [
        WeChatUnavailable(sent=False),
        WeChatBusy(),
        PhoneTaken(owner="somebody"),
        InvalidRequest("code", "missing"),
    ],
    ids=lambda error: error.error,
)
def test_an_error_for_another_caller_is_the_same_and_stays_so(error: ServiceError) -> None:
    before = dict(vars(error))
    another = error.for_another()
    assert (type(another), str(another), vars(another)) == (type(error), str(error), before)
    another.data = {"hint": "for one"}
    assert vars(error) == before


def test_the_clients_types_name_every_error_that_a_mini_program_can_meet() -> None:
    types = (Path(__file__).parents[2] / "miniprogram/minigate/index.d.ts").read_text()
    declared = re.search(r"type ServiceErrorName =\n((?:  \| '\w+'\n)+)", types)
    assert declared
    # OperatorTokenRefused answers the operator's back ends only.
    expected = {cls.error for cls in TABLE.values() if cls is not OperatorTokenRefused}
    assert sorted(re.findall(r"'(\w+)'", declared[1])) == sorted(expected)


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readmes_list_every_error(readme: str) -> None:
    text = (Path(__file__).parents[2] / readme).read_text()
    listed = set(re.findall(r"^\| (\d{3}) \| (\d{5}) \| `(\w+)` \|", text, re.MULTILINE))
    assert listed == {(str(cls.status), str(cls.code), cls.error) for cls in TABLE.values()}
