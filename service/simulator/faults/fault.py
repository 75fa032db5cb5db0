"""What every fault has in common: where it applies and how often."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """Base of all kinds. The docstring of a kind is its line in the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: ClassVar[str]

    endpoint: Annotated[str, Field(description="path it applies to, or * for every one")] = "*"
    times: Annotated[
        int | None, Field(ge=1, description="calls it spoils before it ends; null: no end")
    ] = None
    every: Annotated[
        int, Field(ge=1, description="it spoils each so-manieth of the calls it applies to")
    ] = 1
    probability: Annotated[
        float, Field(ge=0, le=1, description="chance that it spoils a call it applies to")
    ] = 1.0
    hosts: Annotated[
        list[str] | None,
        Field(min_length=1, description="Host headers it applies to; null: any"),
    ] = None


COMMON_PARAMS = frozenset(Fault.model_fields)
