r"""/wxa/msg_sec_check: judges a text, in version 1 or 2 of the interface.

Words are sought in the bytes of the body, so text that came as ``\uXXXX`` escapes
passes, as it does at WeChat. The words are made up, but for the text that WeChat's own
documentation of version 1 gives to test with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from service.simulator.endpoints.call import Call
from service.simulator.endpoints.credentials import check_token
from service.simulator.errcodes import Refusal, refusal
from service.simulator.state.identities import is_openid
from service.simulator.wire import request_id, success

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest
    from service.simulator.state.world import App, World

PATH = "/wxa/msg_sec_check"

OFFICIAL_TEST_TEXT = "特3456书yuuo莞6543李zxcz蒜7782法fgnv级"
_SCENES = (1, 2, 3, 4)
_SECONDS_SINCE_VISIT = 7200
_LONGEST = 2500
_VERSION = 2
"""Whose answer is a verdict; any other is taken for 1, which only refuses or does not."""


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
"""What each word leads to; of several in one text, the first of these counts."""
_VERDICTS = tuple((word.encode(), verdict) for word, verdict in WORDS.items())


async def msg_sec_check(request: SimulatorRequest) -> HTTPResponse | None:
    """Judge a text."""
    return await Call(request, PATH).answer(_check_text)


def _check_text(call: Call) -> dict[str, Any] | Refusal:
    body = _read(call)
    if isinstance(body, Refusal):
        return body
    if (forced := call.faults.errcode()) is not None:
        return forced.refusal
    verdict = next((verdict for word, verdict in _VERDICTS if word in call.body), _FINE)
    if body.get("version") == _VERSION:
        trace_id = request_id(now=call.world.clock(), rng=call.world.rng)
        return _verdict_fields(verdict, trace_id=trace_id)
    return refusal(87014) if verdict.suggest == "risky" else success()


def _read(call: Call) -> dict[str, Any] | Refusal:
    """Return the body of a call that is in order."""
    if call.method != "POST":
        return refusal(43002)
    app = check_token(call)
    if isinstance(app, Refusal):
        return app
    body = call.posted_object()
    if isinstance(body, Refusal):
        return body
    content = body.get("content")
    if not isinstance(content, str) or not content:
        return refusal(47001)
    if body.get("version") == _VERSION:
        refused = _check_author(call.world, app, body)
        if refused is not None:
            return refused
    return refusal(45002) if len(content) > _LONGEST else body


def _check_author(world: World, app: App, body: dict[str, Any]) -> Refusal | None:
    openid, scene = body.get("openid"), body.get("scene")
    if type(scene) is not int or scene not in _SCENES:
        return refusal(40129)
    if not is_openid(openid):
        return refusal(40003)
    visit = world.visits.get(str(openid))
    if visit is not None and visit.appid != app.appid:
        return refusal(43104)
    if visit is None or world.clock() - visit.at > _SECONDS_SINCE_VISIT:
        return refusal(61010)
    return None


def _verdict_fields(verdict: Verdict, *, trace_id: str) -> dict[str, Any]:
    """Return what version 2 answers: risky or not, its errcode is 0."""
    judgement = {"suggest": verdict.suggest, "label": verdict.label}
    detail: dict[str, Any] = {"strategy": "content_model", "errcode": 0, **judgement, "prob": 90}
    if verdict.keyword is not None:
        extra = {"level": 90, "keyword": verdict.keyword}
        detail = {"strategy": "keyword", "errcode": 0, **judgement, **extra}
    return success(result=judgement, detail=[detail], trace_id=trace_id)
