"""What the command line looks like, in both languages and without a setting."""

from __future__ import annotations

import argparse
import ast
import string
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import service
from service.cli import arguments
from service.cli.language import Text, language_of
from service.cli.simulate import _DETAILS
from service.simulator.settings import SimulatorSettings
from tests.support.process import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.cli.conftest import Cli

COMMANDS: Final = (
    *("serve", "migrate", "check", "doctor", "users", "sessions", "events", "why", "keys"),
    "simulate",
)


def parsers(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command with its words."""
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from parsers(inner, (*words, name))


EVERY: Final = [words for words, _ in parsers(arguments.build("en"))]


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_each_command_has_help_in_both_languages(cli: Cli, words: tuple[str, ...]) -> None:
    english, chinese = (cli(*words, "--help", "--lang", one) for one in ("en", "zh"))
    assert (english.code, english.err) == (chinese.code, chinese.err) == (0, "")
    assert english.out.startswith(" ".join(("usage: python -m service", *words)))
    assert chinese.out.startswith(" ".join(("用法：python -m service", *words)))
    assert not is_chinese(english.out)
    assert not {"usage", "options", "commands"} & {*chinese.out.replace(":", " ").split()}


def test_each_option_says_in_chinese_what_it_is() -> None:
    for words, parser in parsers(arguments.build("zh")):
        for action in parser._actions:
            if not isinstance(action, argparse._SubParsersAction):
                assert is_chinese(action.help or ""), (words, action.dest)


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= one <= "\u9fff" for one in text)


def test_the_list_of_commands_is_complete(cli: Cli) -> None:
    out = cli("--help").out
    assert [words[0] for words in EVERY if len(words) == 1] == [*COMMANDS]
    assert all(f"\n    {name} " in out for name in COMMANDS)
    assert "exit codes: 0 fine; 1 " in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("canary",), "invalid choice: 'canary'"),
        (("users",), "required: COMMAND"),
        (("users", "kick"), "required: USER"),
        (("migrate", "--check", "--sql"), "not allowed with argument --check"),
        (("check", "--jso"), "unrecognized arguments: --jso"),
        (("--lang", "fr", "check"), "invalid choice: 'fr'"),
    ],
    ids=str,
)
def test_wrong_usage_is_exit_2_and_says_what(cli: Cli, words: tuple[str, ...], told: str) -> None:
    ended = cli(*words)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    if "fr" not in words:
        assert is_chinese(cli("--lang", "zh", *words).err)


def test_the_version_is_that_of_the_package(cli: Cli) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert service.__version__ == project["version"]
    assert cli("--version").out == f"MiniGate {service.__version__}\n"


@pytest.mark.parametrize(
    ("environment", "words", "language"),
    [
        ({}, [], "en"),
        ({"LANG": "zh_CN.UTF-8"}, [], "zh"),
        ({"LANG": "zh_TW"}, [], "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, [], "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN"}, [], "zh"),
        ({"LANG": "zh_CN", "LC_ALL": ""}, [], "zh"),
        ({"LANG": "zh_CN"}, ["--lang", "en"], "en"),
        ({"LANG": "C"}, ["check", "--lang=zh"], "zh"),
        ({"LANG": "zh_CN"}, ["--lang"], "zh"),
        ({"LANG": "zh_CN"}, ["--lang", "fr"], "zh"),
    ],
)
def test_the_language(environment: dict[str, str], words: list[str], language: str) -> None:
    assert language_of(words, environment) == language


def test_both_languages_of_a_text_have_the_same_values() -> None:
    found = 0
    for path in (REPOSITORY / "service" / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == Text.__name__:
                english, chinese, *_ = *("".join(strings(one)) for one in node.args), ""
                assert fields(english) == fields(chinese), (path.name, english)
                found += bool(english)
    assert found > 100


def strings(node: ast.AST) -> Iterator[str]:
    return (
        one.value
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    )


def fields(text: str) -> set[str | None]:
    if '{"' in text:  # JSON, which nothing is put into
        return set()
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_simulate_explains_every_setting_of_the_simulator() -> None:
    names = [
        f"SIMULATOR_{name.upper()}"
        for name in SimulatorSettings.model_fields
        if name not in {"environment", "dyno"}
    ]
    for text in _DETAILS:
        assert [line.split()[0] for line in text.splitlines() if "  SIMULATOR_" in line] == names


def test_no_command_imports_what_takes_long_before_it_is_chosen() -> None:
    """As measured in a process of its own by test_command_line.py; here by the text."""
    for path in sorted(Path(service.__file__).parent.joinpath("cli").glob("*.py")):
        if path.stem in COMMANDS:
            nodes = ast.parse(path.read_text()).body
            names = {one.module or "" for one in nodes if isinstance(one, ast.ImportFrom)}
            light = {"service.cli", "service.cli.language", "service.cli.refusal"}
            ours = {one for one in names if one.startswith("service")}
            assert path.stem == "serve" or ours <= light, path.name
