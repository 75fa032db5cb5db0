"""Before anything is measured: does everybody do the same work, and do it right?"""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.bench.contestants import MINIGATE

if TYPE_CHECKING:
    from redis import Redis

    from tests.bench.contestants import Contestant, Everybody
    from tests.bench.people import Person
    from tests.bench.tasks import Login

_SEEN_BY_BACK_ENDS: Final = (
    "cache-control",
    "x-auth-request-user",
    "x-auth-openid",
    "x-auth-appid",
    "x-auth-unionid",
)
_VARYING: Final = ("x-request-id", "x-session-expires-in")
_UNKNOWN: Final = f"{'A' * 22}.{'B' * 43}"


class UnfairError(AssertionError):
    """A contestant does other work than the rest; its numbers would mean nothing."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def check(everybody: Everybody, *, person: Person, redis: Redis, login: Login) -> None:
    """Raise UnfairError at the first difference.

    `person` has a live session in every layout, and loses it.
    """
    ours = next(one for one in everybody.validate if one.title == MINIGATE)
    model, login_model = _verify(ours, person.sessionid), _log_in(ours, login.codes(1)[0])
    for one in everybody.validate:
        _check_verify(one, person, model)
    for one in everybody.login:
        _check_login(one, login, login_model)
        if one.has_accounts:
            _check_accounts(one, login)
    for key in redis.scan_iter("*", count=10_000):
        if person.sessionid.encode() in key or person.session_id.handle.encode() in key:
            redis.delete(key)
    for one in everybody.validate:
        if one.guards and (status := _verify(one, person.sessionid).status) != 401:
            raise UnfairError(f"{one.title} answers {status} for a session that has ended")


def _check_verify(one: Contestant, person: Person, model: _Answer) -> None:
    answer = _verify(one, person.sessionid)
    if (answer.status, answer.body) != (200, b""):
        raise UnfairError(f"{one.title} answers a live session {answer.status} {answer.body!r}")
    for name in _VARYING:
        if len(answer.headers.get(name, "")) != len(model.headers[name]):
            raise UnfairError(f"{one.title} sends {name} in another length")
    if not one.guards:
        return
    for name in _SEEN_BY_BACK_ENDS:
        if answer.headers.get(name) != model.headers[name]:
            raise UnfairError(f"{one.title} sends {name}: {answer.headers.get(name)!r}")
    for wrong in (_UNKNOWN, "nonsense", ""):
        if (status := _verify(one, wrong).status) != 401:
            raise UnfairError(f"{one.title} answers {status} for the session id {wrong!r}")


def _check_login(one: Contestant, login: Login, model: _Answer) -> None:
    person, code = login.somebody()
    answer = _log_in(one, code)
    if answer.status != 200 or _shape(answer) != _shape(model):
        raise UnfairError(f"{one.title} answers a login {answer.status} {answer.body!r}")
    if _log_in(one, code).status == 200:
        raise UnfairError(f"{one.title} takes a code twice")
    data = _data(answer)
    if _verify(one, data["sessionid"]).status != 200:
        raise UnfairError(f"{one.title} does not know the session that it has just opened")
    if one.guards and _verify(one, person.sessionid).status != 401:
        raise UnfairError(f"{one.title} leaves the session before a login alive")
    if one.has_accounts and data["user"]["id"] != person.user_id:
        raise UnfairError(f"{one.title} does not find an account")


def _check_accounts(one: Contestant, login: Login) -> None:
    """Who is new gets an account with the first login and has it with the second."""
    answers = [_log_in(one, code) for code in login.newcomer()]
    if any(answer.status != 200 for answer in answers):
        raise UnfairError(f"{one.title} answers the login of a new user {answers}")
    first, second = map(_data, answers)
    if (first["isNewUser"], second["isNewUser"]) != (True, False):
        raise UnfairError(f"{one.title} does not tell a new user")
    if first["user"]["id"] != second["user"]["id"]:
        raise UnfairError(f"{one.title} forgets a new user")


def _shape(answer: _Answer) -> tuple[int, object]:
    """The size of an answer, and its fields with how long their values are."""
    data = _data(answer)
    lengths = {name: len(str(value)) for name, value in {**data, **data["user"]}.items()}
    return len(answer.body), lengths


def _data(answer: _Answer) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(answer.body)["data"]
    return data


def _verify(one: Contestant, sessionid: str) -> _Answer:
    name, _, value = one.session_header(sessionid).partition(": ")
    return _ask(one, "GET", "/verify", headers={name: value} if sessionid else {})


def _log_in(one: Contestant, code: str) -> _Answer:
    headers = {"Content-Type": "application/json"}
    return _ask(one, "POST", one.login_path, body=orjson.dumps({"code": code}), headers=headers)


def _ask(
    one: Contestant, method: str, path: str, *, headers: dict[str, str], body: bytes | None = None
) -> _Answer:
    connection = http.client.HTTPConnection("127.0.0.1", one.server.port, timeout=5)
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        names = {name.lower(): value for name, value in reply.getheaders()}
        return _Answer(reply.status, names, reply.read())
    finally:
        connection.close()
