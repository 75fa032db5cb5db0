"""Variables that nobody reads, and that were most likely meant to be a setting.

Whatever runs a service sets dozens of variables of its own. A name counts as
meant for us only if it is one of ours but for a prefix, a unit, an underscore, a
customary other word or a slip of the finger.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_CLOSE: Final = 0.88
"""REDIS_URI is 0.889 from REDIS_URL."""
_SHORTEST: Final = 9
"""Shorter names are others' too often: HOSTS, PORTS, TRACKING."""
_FILE: Final = "_FILE"
_PREFIXES: Final = ("MINIGATE_", "MINI_GATE_", "SANIC_")
_UNITS: Final = ("_MS", "_SECONDS", "_SECS", "_SEC", "_S", "_BYTES", "_MILLISECONDS")
_OTHER_WORDS: Final = {
    "URI": "URL",
    "DSN": "URL",
    "DB": "DATABASE",
    "WX": "WECHAT",
    "WEIXIN": "WECHAT",
    "APPSECRET": "SECRET",
    "IP": "ADDRESS",
    "CONN": "CONNECTIONS",
    "CONNS": "CONNECTIONS",
    "VERBOSITY": "LEVEL",
}
_OTHER_NAMES: Final = {
    "WECHAT_APP_SECRET": "WECHAT_SECRET",
    "WX_APP_SECRET": "WECHAT_SECRET",
    "SESSION_TIMEOUT": "SESSION_TTL",
    "SESSION_EXPIRES": "SESSION_TTL",
    "SESSION_EXPIRE": "SESSION_TTL",
    "REDIS_POOL_SIZE": "REDIS_MAX_CONNECTIONS",
    "DATABASE_POOL_SIZE": "DATABASE_CONNECTIONS",
    "LOGLEVEL": "LOG_LEVEL",
}
_FOREIGN: Final = frozenset({"REDIS_TLS_URL", "SESSION_MANAGER", "SESSIONNAME", "SECRET_KEY_BASE"})
_FOREIGN_PREFIXES: Final = (
    *("AWS_", "OTEL_", "SIMULATOR_", "PYTHON", "LC_", "XDG_", "SSH_", "GITHUB_", "RUNNER_"),
    *("KUBERNETES_", "DOCKER_", "HEROKU_", "PIP_", "UV_", "GIT_", "NPM_", "COMPOSE_", "ACTIONS_"),
)
_LINK: Final = re.compile(r"(?:tcp|udp|sctp)://")
"""What Docker and Kubernetes set of a service that they call like a setting of ours."""
_SERVICE_HOST: Final = "_SERVICE_HOST"


def near_misses(given: Mapping[str, str | None], settings: Collection[str]) -> dict[str, str]:
    """Of the variables that are `given`, with their values: the setting that each may have meant.

    `settings`: the names of ours, in capitals.
    """
    links = tuple(
        name.removesuffix(_SERVICE_HOST) + rest
        for name in given
        if name.endswith(_SERVICE_HOST)
        for rest in ("_SERVICE_", "_PORT")
    )
    found = {}
    for name, value in given.items():
        is_foreign = name.upper().startswith((*_FOREIGN_PREFIXES, *links)) or _LINK.match(
            value or ""
        )
        if not is_foreign and (meant := _meant_by(name.upper(), settings)):
            found[name] = meant
    return found


def _meant_by(name: str, settings: Collection[str]) -> str | None:
    """The setting that a name stands for; None for those of ours, and those of others."""
    if name in _FOREIGN or name.removesuffix(_FILE) in settings:
        return None
    if name.endswith(_FILE):
        meant = _meant_by(name.removesuffix(_FILE), settings)
        return meant + _FILE if meant else None
    for prefix in _PREFIXES:
        rest = name.removeprefix(prefix)
        if rest != name:
            return rest if rest in settings else _spelt_right(rest, settings)
    return _spelt_right(name, settings)


def _spelt_right(name: str, settings: Collection[str]) -> str | None:
    meant = _OTHER_NAMES.get(name, name)
    if meant in settings:
        return meant
    key = _key_of(name)
    for one in settings:
        if "_" in one and _key_of(one) == key:
            return one
    if len(name) < _SHORTEST:
        return None
    matcher = SequenceMatcher(b=name, autojunk=False)
    best, likeness = "", _CLOSE
    for one in settings:
        matcher.set_seq1(one)
        if matcher.real_quick_ratio() >= likeness and (ratio := matcher.ratio()) >= likeness:
            best, likeness = one, ratio
    return best or None


def _key_of(name: str) -> str:
    """What spellings of one name have in common."""
    for unit in _UNITS:
        name = name.removesuffix(unit)
    words = [_OTHER_WORDS.get(word, word) for word in name.split("_")]
    return "".join(sorted("".join(words).removesuffix("S").split("_"))) if words else ""
