"""Faults that strike as a call arrives, before the endpoint's rules: no code is used up."""

from __future__ import annotations

import asyncio
import math
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator
from sanic.response import HTTPResponse

from service.simulator.faults import connection
from service.simulator.faults.fault import Fault
from service.simulator.wire import SNS

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from service.simulator.faults.connection import AnyRequest

_HTML = "text/html; charset=utf-8"
_CHUNK = b"A" * 65536
_P999 = 3.09
"""Standard deviations above the median of a normal distribution's 99.9th percentile."""


class ArrivalFault(Fault):
    """Base of the faults that act first. Unless ``ends_call`` is False, nothing follows."""

    ends_call: ClassVar[bool] = True

    async def act(self, request: AnyRequest, rng: random.Random) -> HTTPResponse | None:
        """Return the answer; None when it is sent already or the call goes on."""
        raise NotImplementedError


class Latency(ArrivalFault):
    """Answers late: log-normal around median_ms; tail_ms is the 99.9th percentile and the most."""

    kind = "latency"
    ends_call = False
    median_ms: Annotated[float, Field(gt=0, le=60_000)] = 30
    tail_ms: Annotated[float, Field(gt=0, le=60_000)] = 5000

    @model_validator(mode="after")
    def _tail_follows_median(self) -> Self:
        if self.tail_ms < self.median_ms:
            raise ValueError("tail_ms is below median_ms")
        return self

    async def act(self, request: AnyRequest, rng: random.Random) -> None:  # noqa: ARG002
        """Wait."""
        sigma = math.log(self.tail_ms / self.median_ms) / _P999
        drawn = rng.lognormvariate(math.log(self.median_ms), sigma)
        await asyncio.sleep(min(drawn, self.tail_ms) / 1000)


class Hang(ArrivalFault):
    """Accepts the call and never answers; closes when the client goes or the time is up."""

    kind = "hang"
    seconds: Annotated[float, Field(gt=0, le=300)] = 60

    async def act(self, request: AnyRequest, rng: random.Random) -> None:  # noqa: ARG002
        """Wait, then close."""
        await asyncio.sleep(self.seconds)
        await connection.close(request)


class Reset(ArrivalFault):
    """Resets the connection before any byte of the answer."""

    kind = "reset"

    async def act(self, request: AnyRequest, rng: random.Random) -> None:  # noqa: ARG002
        """Reset."""
        await connection.reset(request)


class ApiDown(ArrivalFault):
    """Resets every call to the named hosts only, so that a fallback host stays up."""

    kind = "api_down"
    hosts: Annotated[list[str], Field(min_length=1, description="Host headers that are down")]

    async def act(self, request: AnyRequest, rng: random.Random) -> None:  # noqa: ARG002
        """Reset."""
        await connection.reset(request)


class Status(ArrivalFault):
    """Answers with any HTTP status and a page like a gateway's."""

    kind = "status"
    status: Annotated[int, Field(ge=200, le=599)]

    async def act(self, request: AnyRequest, rng: random.Random) -> HTTPResponse:  # noqa: ARG002
        """Return the page."""
        return _page(self.status)


class Html502(ArrivalFault):
    """Answers 502 with an HTML page."""

    kind = "html_502"

    async def act(self, request: AnyRequest, rng: random.Random) -> HTTPResponse:  # noqa: ARG002
        """Return the page."""
        return _page(HTTPStatus.BAD_GATEWAY)


class Html200(ArrivalFault):
    """Answers 200 with an HTML page, as a captive portal does."""

    kind = "html_200"

    async def act(self, request: AnyRequest, rng: random.Random) -> HTTPResponse:  # noqa: ARG002
        """Return the page."""
        return _page(HTTPStatus.OK)


class Redirect(ArrivalFault):
    """Answers with a redirect; by default to this simulator's front page."""

    kind = "redirect"
    status: Annotated[int, Field(ge=301, le=308)] = 302
    location: Annotated[str, Field(pattern=r"^[!-~]+$", max_length=2000)] = "/"

    async def act(self, request: AnyRequest, rng: random.Random) -> HTTPResponse:  # noqa: ARG002
        """Return the redirect."""
        return HTTPResponse(status=self.status, headers={"location": self.location})


class HugeBody(ArrivalFault):
    """Streams a valid JSON body of that many megabytes."""

    kind = "huge_body"
    megabytes: Annotated[int, Field(ge=1, le=2000)] = 200

    async def act(self, request: AnyRequest, rng: random.Random) -> None:  # noqa: ARG002
        """Send until the client has all of it or goes away."""
        response = await request.respond(content_type=SNS.content_type)
        for chunk in _big_json(self.megabytes):
            await response.send(chunk)
            await asyncio.sleep(0)


class GzipBomb(ArrivalFault):
    """Sends a small gzip body that unpacks to that many megabytes of valid JSON."""

    kind = "gzip_bomb"
    megabytes: Annotated[int, Field(ge=1, le=2000)] = 200

    async def act(self, request: AnyRequest, rng: random.Random) -> None:  # noqa: ARG002
        """Pack and send piece by piece."""
        response = await request.respond(
            content_type=SNS.content_type, headers={"content-encoding": "gzip"}
        )
        packer = zlib.compressobj(level=9, wbits=zlib.MAX_WBITS | 16)
        for chunk in _big_json(self.megabytes):
            if packed := packer.compress(chunk):
                await response.send(packed)
            await asyncio.sleep(0)
        await response.send(packer.flush())


def _big_json(megabytes: int) -> Iterator[bytes]:
    yield b'{"padding":"'
    for _ in range(megabytes * 16):
        yield _CHUNK
    yield b'"}'


def _page(status: int) -> HTTPResponse:
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return HTTPResponse(status=status)
    try:
        title = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        title = str(status)
    html = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n"
        f"<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    return HTTPResponse(html, status=status, content_type=_HTML)
