r"""The rules of /wxa/msg_sec_check, in the order in which they are checked.

Words are sought in the bytes of the body, so text that came as ``\uXXXX`` escapes
passes, as it does at WeChat. The words are made up, but for the text that WeChat's own
documentation of version 1 gives to test with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from service.simulator.endpoints.credentials import check_token
from service.simulator.endpoints.posted import posted_json
from service.simulator.errcodes import Refusal, refusal
from service.simulator.state.visits import is_openid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.simulator.faults.call_faults import CallFaults
    from service.simulator.state.world import App, World

PATH = "/wxa/msg_sec_check"

OFFICIAL_TEST_TEXT = "特3456书yuuo莞6543李zxcz蒜7782法fgnv级"
SCENES = (1, 2, 3, 4)
SECONDS_SINCE_VISIT = 7200
LONGEST = 2500
_VERSION = 2


class Verdict(NamedTuple):
    """What WeChat holds of a text; ``keyword`` is what it took exception to."""

    suggest: str
    label: int
    keyword: str | None = None


_FINE = Verdict("pass", 100)
WORDS = {
    OFFICIAL_TEST_TEXT: Verdict("risky", 21000, OFFICIAL_TEST_TEXT),
    "模拟广告词": Verdict("risky", 10001, "模拟广告词"),
    "模拟色情词": Verdict("risky", 20002, "模拟色情词"),
    "模拟辱骂词": Verdict("risky", 20003, "模拟辱骂词"),
    "risky-word": Verdict("risky", 21000, "risky-word"),
    "模拟存疑词": Verdict("review", 21000, "模拟存疑词"),
}
"""What is found, the worst first."""
_NEEDLES = tuple((word.encode(), verdict) for word, verdict in WORDS.items())


def check_text(
    world: World, *, method: str, query: Mapping[str, str], raw: bytes, faults: CallFaults
) -> Verdict | Refusal | None:
    """Judge a text; version 1 has no verdict, only refusals."""
    if method != "POST":
        return refusal(43002)
    app = check_token(world, query, faults=faults)
    if isinstance(app, Refusal):
        return app
    body = posted_json(raw)
    if isinstance(body, Refusal):
        return body
    refused = _check_body(world, app, body)
    if refused is None and (forced := faults.errcode()) is not None:
        refused = forced.refusal
    if refused is not None:
        return refused
    verdict = next((verdict for word, verdict in _NEEDLES if word in raw), _FINE)
    if body.get("version") == _VERSION:
        return verdict
    return refusal(87014) if verdict.suggest == "risky" else None


def _check_body(world: World, app: App, body: dict[str, Any]) -> Refusal | None:
    content = body.get("content")
    if not isinstance(content, str) or not content:
        return refusal(47001)
    if body.get("version") == _VERSION:
        refused = _check_author(world, app, body)
        if refused is not None:
            return refused
    return refusal(45002) if len(content) > LONGEST else None


def _check_author(world: World, app: App, body: dict[str, Any]) -> Refusal | None:
    openid, scene = body.get("openid"), body.get("scene")
    if type(scene) is not int or scene not in SCENES:
        return refusal(40129)
    if not is_openid(openid):
        return refusal(40003)
    visit = world.visits.last(str(openid))
    if visit is not None and visit.appid != app.appid:
        return refusal(43104)
    if visit is None or world.clock() - visit.at > SECONDS_SINCE_VISIT:
        return refusal(61010)
    return None


def verdict_fields(verdict: Verdict, *, trace_id: str) -> dict[str, Any]:
    """Return what version 2 answers: risky or not, its errcode is 0."""
    judgement = {"suggest": verdict.suggest, "label": verdict.label}
    detail: dict[str, Any] = {"strategy": "content_model", "errcode": 0, **judgement, "prob": 90}
    if verdict.keyword is not None:
        extra = {"level": 90, "keyword": verdict.keyword}
        detail = {"strategy": "keyword", "errcode": 0, **judgement, **extra}
    return {
        "errcode": 0,
        "errmsg": "ok",
        "result": judgement,
        "detail": [detail],
        "trace_id": trace_id,
    }
