"""Faults that spoil the finished reply or lose it: what the call did stays done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from pydantic import Field

from service.simulator.faults import connection
from service.simulator.faults.fault import Fault

if TYPE_CHECKING:
    from service.simulator.faults.connection import AnyRequest
    from service.simulator.wire import Reply

ReplyField = Literal[
    "session_key",
    "openid",
    "unionid",
    "access_token",
    "expires_in",
    "phone_info",
    "result",
]


class ReplyFault(Fault):
    """Base of the faults that change the reply before it is sent."""

    def applies(self, reply: Reply) -> bool:  # noqa: ARG002
        """Whether this reply has what the fault spoils."""
        return True

    def spoil(self, reply: Reply) -> None:
        """Change the reply."""
        raise NotImplementedError


class MissingField(ReplyFault):
    """Leaves a field out of successful replies."""

    kind = "missing_field"
    field: ReplyField = "session_key"

    def applies(self, reply: Reply) -> bool:
        """Only where the field would be."""
        return self.field in reply.fields

    def spoil(self, reply: Reply) -> None:
        """Drop the field."""
        del reply.fields[self.field]


class WrongType(ReplyFault):
    """Puts another JSON value where a string belongs in successful replies."""

    kind = "wrong_type"
    field: ReplyField = "openid"
    value: Any = 12345

    def applies(self, reply: Reply) -> bool:
        """Only where the field would be."""
        return self.field in reply.fields

    def spoil(self, reply: Reply) -> None:
        """Replace the value."""
        reply.fields[self.field] = self.value


class CountryCodeNumber(ReplyFault):
    """Gives countryCode as a number, as the documentation's example has it."""

    kind = "country_code_number"

    def applies(self, reply: Reply) -> bool:
        """Only where a phone number is told, and no other fault has changed its country."""
        phone = reply.fields.get("phone_info")
        country = phone.get("countryCode") if isinstance(phone, dict) else None
        return isinstance(country, str) and country.isdecimal()

    def spoil(self, reply: Reply) -> None:
        """Turn the text into a number."""
        phone = reply.fields["phone_info"]
        phone["countryCode"] = int(phone["countryCode"])


class ContentType(ReplyFault):
    """Sends this Content-Type, for example application/json; encoding=utf-8."""

    kind = "content_type"
    value: Annotated[str, Field(pattern=r"^[ -~]+$", max_length=200)]

    def spoil(self, reply: Reply) -> None:
        """Replace the type."""
        reply.content_type = self.value


class TruncatedJson(ReplyFault):
    """Cuts the JSON short; Content-Length agrees with what is sent."""

    kind = "truncated_json"
    keep: Annotated[
        int | None, Field(ge=0, description="bytes that are left; null: half of them")
    ] = None

    def spoil(self, reply: Reply) -> None:
        """Keep the beginning, never all of it."""
        body = reply.encode()
        keep = len(body) // 2 if self.keep is None else min(self.keep, len(body) - 1)
        reply.body = body[: max(keep, 0)]


class EmptyBody(ReplyFault):
    """Answers 200 without a body."""

    kind = "empty_body"

    def spoil(self, reply: Reply) -> None:
        """Drop the body."""
        reply.body = b""


class CutFault(Fault):
    """Base of the faults that end the connection instead of sending the reply."""

    def applies(self, reply: Reply) -> bool:  # noqa: ARG002
        """Whether this reply is to be lost."""
        return True

    async def cut(self, request: AnyRequest, reply: Reply) -> NoReturn:
        """End the connection."""
        raise NotImplementedError


class DropAfterConsume(CutFault):
    """Does the work, then closes the connection unanswered; a retry finds the code used."""

    kind = "drop_after_consume"

    def applies(self, reply: Reply) -> bool:
        """Only success: a refusal has used nothing up."""
        return reply.succeeded

    async def cut(self, request: AnyRequest, reply: Reply) -> NoReturn:  # noqa: ARG002
        """Close."""
        await connection.close(request)


class ResetAfterHeaders(CutFault):
    """Does the work, sends the headers and perhaps a part of the body, then resets."""

    kind = "reset_after_headers"
    body_bytes: Annotated[int, Field(ge=0, description="bytes of the body to send first")] = 0

    async def cut(self, request: AnyRequest, reply: Reply) -> NoReturn:
        """Send a part, then reset."""
        body = reply.encode()
        head = (
            f"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n"
            f"content-type: {reply.content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        await connection.send_raw(request, head.encode() + body[: self.body_bytes])
        await connection.reset(request)
