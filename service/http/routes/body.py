"""Reading a request's body into a typed value, or saying which field is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    model_validator,
)

from service.core.errors import InvalidRequest, UnsupportedMediaType
from service.core.models import Encrypted
from service.http.single_header import single_header

if TYPE_CHECKING:
    from service.http.request import AppRequest


Word = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Text = Annotated[str, StringConstraints(max_length=4096)]
Base64 = Annotated[str, StringConstraints(min_length=1, max_length=8192)]

_MOST_PARAMETERS: Final = 32
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
"""What a backslash begins in JSON; by itself, half an emoji: a name that JavaScript cut off."""


class Body(BaseModel):
    """Base of all bodies: camelCase names as on the wire, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: object) -> object:
        """Have "" in an optional field count as absent: many clients send all their fields."""
        if not isinstance(given, dict) or "" not in given.values():
            return given
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: one for name, one in given.items() if one != "" or name not in optional}


AnyBody = TypeVar("AnyBody", bound=Body)


def read_body(request: AppRequest, kind: type[AnyBody]) -> AnyBody:
    """Parse a JSON body.

    JSON is read whatever the content type claims, since `curl -d` and some
    clients claim a form. Raises InvalidRequest naming the field, and
    UnsupportedMediaType for a body that is neither JSON nor called JSON.
    """
    try:
        return _validated(request.body, kind)
    except ValidationError as invalid:
        if _is_no_json(invalid) and request.body and not _says_json(request):
            raise UnsupportedMediaType from None
        raise _first_fault(invalid) from None


def read_query(request: AppRequest, kind: type[AnyBody]) -> AnyBody:
    """The same from the query string, the first value of each name; raises InvalidRequest."""
    if request.query_string.count("&") >= _MOST_PARAMETERS:  # a head has room for 4,000
        raise InvalidRequest("query", f"more than {_MOST_PARAMETERS} parameters")
    try:
        return kind.model_validate({name: request.args.get(name) for name in request.args})
    except ValidationError as invalid:
        raise _first_fault(invalid) from None


def read_headers(request: AppRequest, kind: type[AnyBody]) -> AnyBody:
    """The same from the headers that `kind` names by its aliases; an empty one counts as absent."""
    names = [field.alias or name for name, field in kind.model_fields.items()]
    given = {name: single_header(request, name) for name in names}
    try:
        return kind.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as invalid:
        raise _first_fault(invalid) from None


def _validated(body: bytes, kind: type[AnyBody]) -> AnyBody:
    try:
        return kind.model_validate_json(body)
    except ValidationError as invalid:
        mended = _ESCAPE.sub(_whole, body) if _is_no_json(invalid) else body
        if mended == body:
            raise
        return kind.model_validate_json(mended)


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[1] else escape[0]


def _first_fault(invalid: ValidationError) -> InvalidRequest:
    fault = invalid.errors(include_input=False, include_context=False, include_url=False)[0]
    return InvalidRequest(".".join(str(part) for part in fault["loc"]) or "body", fault["msg"])


def _is_no_json(invalid: ValidationError) -> bool:
    return invalid.errors(include_input=False)[0]["type"] == "json_invalid"


def _says_json(request: AppRequest) -> bool:
    return "json" in request.headers.getone("content-type", "").lower()


def encrypted_in(data: str | None, iv: str | None) -> Encrypted | None:
    """The pair that WeChat gives together; raises InvalidRequest for half of it."""
    if data is None and iv is None:
        return None
    if data is None or iv is None:
        raise InvalidRequest("iv" if iv is None else "encryptedData", "goes with the other one")
    return Encrypted(data, iv)
