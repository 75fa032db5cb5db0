"""The runbook names each line of a fault, each errcode and each place as they are in the code."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest

from service.wechat.errcodes import CODE2SESSION, KNOWN, TOKENED
from service.wechat.meanings import MEANINGS
from tests.support.process import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES: Final = ("operate.md", "operate.zh-CN.md")
SECTIONS: Final = {  # where the lines of the log stand, where the errcodes, and what follows
    "operate.md": ("The log says", "WeChat's errcodes", "Where settings come from"),
    "operate.zh-CN.md": ("日志里说", "微信的 errcode", "配置从哪里来"),
}
LOGS: Final = {"_log", "_notes", "_full", "_refused", "_late", "_heavy", "wrong_tokens"}
"""What a ThrottledLog is called."""
OUTAGE: Final = re.compile(r"outage (begins|comes back)|^… failed: ")
"""Made of parts: tests/faults/test_outage_lines.py reads them."""


def text(page: str) -> str:
    return (REPOSITORY / "docs" / page).read_text()


def section(page: str, number: int) -> str:
    begin, end = SECTIONS[page][number : number + 2]
    return text(page).partition(f"\n## {begin}\n")[2].partition(f"\n## {end}\n")[0]


def rows(part: str) -> Iterator[list[str]]:
    for line in part.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield re.split(r"(?<!\\) \| ", line.strip("| "))


def lines_of(page: str) -> list[str]:
    """What stands in code in the first column: lines of the log, with … for what differs."""
    columns = [row[0] for row in rows(section(page, 0))]
    return [code for column in columns for code in re.findall(r"`([^`]+)`", column)]


@cache
def sources() -> dict[str, ast.Module]:
    found = {}
    for path in sorted((REPOSITORY / "service").rglob("*.py")):
        name = str(path.relative_to(REPOSITORY / "service"))
        if not name.startswith(("simulator/", "dev/")):
            found[name] = ast.parse(path.read_text())
    return found


def pieces(template: str) -> list[str]:
    """What always stands in it."""
    return [part for part in re.split(r"%[\d.]*[a-z]|…|\d+", template) if part.strip(" :;(),")]


def template_of(node: ast.expr) -> str | None:
    if isinstance(node, ast.JoinedStr):
        parts = [one.value if isinstance(one, ast.Constant) else "…" for one in node.values]
        return "".join(map(str, parts))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def told() -> Iterator[tuple[str, str]]:
    """File and text of each line that is logged as a warning or worse, but outages."""
    for name, tree in sources().items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            whose = node.func.value
            owner = getattr(whose, "attr", getattr(whose, "id", ""))
            own = owner == "log" and node.func.attr in {
                "warning",
                "error",
                "critical",
                "exception",
            }
            if (own or (owner in LOGS and node.func.attr in {"failed", "warn"})) and (
                template := template_of(node.args[0])
            ):
                yield name, template


TOLD: Final = sorted(set(told()))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("file", "template"), TOLD)
def test_each_line_of_a_fault_is_there(page: str, file: str, template: str) -> None:
    del file  # it is in the test's name
    found = lines_of(page)
    # Of a long line the page has the beginning.
    beginnings = [part[:28].rstrip(" (:") for part in pieces(template)[:1]]
    assert beginnings, template
    assert any(all(part in line for part in beginnings) for line in found), template


def test_there_are_lines() -> None:
    assert len(TOLD) > 40


@cache
def constants() -> str:
    """Every text in the code, one under the other."""
    nodes = (node for tree in sources().values() for node in ast.walk(tree))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant))
    return "\n".join(one for one in texts if isinstance(one, str))


@pytest.mark.parametrize("line", sorted({one for page in PAGES for one in lines_of(page)}))
def test_each_line_that_is_there_is_one_of_the_code(line: str) -> None:
    if OUTAGE.search(line) or re.fullmatch(r"[A-Za-z]+Error|E?[A-Z0-9_]+", line):
        return  # of a driver, of the kernel, or Redis's own
    # `redis: ` and the like is the name of a log; "failed" its own word.
    line = re.sub(r"^[a-z_]+: | failed(: .*)?$", "", line)
    for part in pieces(line):
        for half in part.split(": ") if part not in constants() else ():
            assert half.strip() in constants(), (line, half)


@pytest.mark.parametrize("page", PAGES)
def test_each_errcode_is_there_with_what_users_see(page: str) -> None:
    seen: dict[int, str] = {}
    for errcodes, users_see, *words in rows(section(page, 1)):
        assert len(words) == 2, errcodes
        for number in re.findall(r"-?\d+", errcodes):
            assert int(number) not in seen
            seen[int(number)] = users_see
    assert seen.keys() == MEANINGS.keys()
    for number, users_see in seen.items():
        for table in (CODE2SESSION, TOKENED):
            if number in table:
                assert str(table[number].code) in users_see, number


@pytest.mark.parametrize("page", PAGES)
def test_the_other_errcodes_are_said_to_be_one_users(page: str) -> None:
    last = section(page, 1).rpartition("|\n\n")[2]
    for number in KNOWN - MEANINGS.keys():
        assert re.search(rf"\b{number}\b", last), number


def anchors(page: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES)
def test_each_place_that_is_linked_to_is_there(page: str) -> None:
    linked = re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", text(page))
    assert len(linked) > 60
    for file, anchor in linked:
        assert not file or (REPOSITORY / "docs" / file).exists(), file
        assert file or anchor in anchors(page), anchor


@pytest.mark.parametrize("path", ["README.md", "README.zh-CN.md", "SECURITY.md", "docs/outages.md"])
def test_what_others_link_to_is_there(path: str) -> None:
    source = (REPOSITORY / path).read_text()
    for page, anchor in re.findall(r"\]\((?:docs/)?(operate[\w.-]*\.md)#([^)]+)\)", source):
        assert anchor in anchors(page), anchor


def test_both_languages_have_the_same_parts_and_rows() -> None:
    shapes = [re.findall(r"^(#+|\||-|\d)(?= )", text(page), re.MULTILINE) for page in PAGES]
    assert shapes[0] == shapes[1]
    english, chinese = (
        [row[0] for row in rows(section(page, 0)) if row[0].startswith("`")] for page in PAGES
    )
    assert [re.findall("`[^`]+`", one) for one in english] == [
        re.findall("`(?!MiniGate 无)[^`]+`", one) for one in chinese
    ]
