"""Spans by OpenTelemetry where TRACING asks for them; else nothing, and nothing of it is imported.

No span holds what somebody sent, nor who it is about: names and attributes are this
service's own words, and of an error it is the kind, never the text.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from contextlib import AbstractContextManager
    from types import TracebackType

_SERVICE: Final = "minigate"
_FLUSH_SECONDS: Final = 1.0
_NOTHING: Final = nullcontext()


def is_installed() -> bool:
    """Whether the packages of requirements-tracing.txt are there."""
    return find_spec("opentelemetry") is not None and all(
        find_spec(f"opentelemetry.{name}") is not None for name in ("sdk", "exporter")
    )


class _Tracing:
    """What is there while spans are made."""

    def __init__(self) -> None:
        # They take 0.2 s, and 20 MB of each worker.
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import (  # noqa: PLC0415
            SERVICE_NAME,
            OTELResourceDetector,
            Resource,
        )
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        self.trace = trace
        self.propagator = TraceContextTextMapPropagator()
        # OTEL_SERVICE_NAME goes before ours, which goes before the library's.
        named = Resource({SERVICE_NAME: _SERVICE}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=Resource.create(named.attributes))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = self._provider.get_tracer(_SERVICE)
        # A line for each batch that nobody takes, with the stack; what it says at ERROR is enough.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)

    async def flush(self) -> None:
        """Send what is left, within a second: the thread that does it ends with the process."""
        sending = asyncio.get_running_loop().run_in_executor(None, self._provider.shutdown)
        await asyncio.wait([sending], timeout=_FLUSH_SECONDS)


_tracing: _Tracing | None = None


def start() -> None:
    """Make spans from now on. Where they go, and which are kept, the variables OTEL_* say."""
    global _tracing  # noqa: PLW0603 # as logging is: one for the process
    _tracing = _Tracing()


async def stop() -> None:
    """Make none any more, and send those that were made."""
    global _tracing  # as above
    tracing, _tracing = _tracing, None
    if tracing is not None:
        await tracing.flush()


def span(system: str, operation: str) -> AbstractContextManager[Any]:
    """Around a call of something else: a span of its own within the one at hand.

    Both are words of our own: `redis` and the name of a script, say.
    """
    if _tracing is None:
        return _NOTHING
    return _Span(_tracing, f"{system} {operation}")


def pass_on(headers: MutableMapping[str, str]) -> None:
    """Add W3C's `traceparent` of the span at hand, if there is one."""
    if _tracing is not None:
        _tracing.propagator.inject(headers)


class _Span:
    """A span of a call; of what it raised it keeps the kind."""

    def __init__(self, tracing: _Tracing, name: str) -> None:
        self._trace = tracing.trace
        self._spanning = tracing.tracer.start_as_current_span(
            name,
            kind=tracing.trace.SpanKind.CLIENT,
            record_exception=False,
            set_status_on_exception=False,
        )

    def __enter__(self) -> None:
        self._span = self._spanning.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._span.set_attribute("error.type", kind.__name__)
            self._span.set_status(self._trace.StatusCode.ERROR)
        self._spanning.__exit__(kind, fault, place)


class RequestSpan:
    """The span of a request, within that of whoever sent it."""

    def __init__(self, name: str, carrier: Mapping[str, str], **attributes: str) -> None:
        """`carrier`: the request's `traceparent` and `tracestate`, if it has them.

        Raises RuntimeError where no spans are made.
        """
        if _tracing is None:
            raise RuntimeError("tracing has not been started")
        from opentelemetry import context  # noqa: PLC0415 # as above

        self._trace, self._context = _tracing.trace, context
        self._span = _tracing.tracer.start_span(
            name,
            context=_tracing.propagator.extract(carrier, context=context.Context()),
            kind=_tracing.trace.SpanKind.SERVER,
            attributes=attributes,
        )
        self._attached = context.attach(_tracing.trace.set_span_in_context(self._span))

    def end(self, *, status: int) -> None:
        """By the status of the answer."""
        self._context.detach(self._attached)
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:  # noqa: PLR2004
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(self._trace.StatusCode.ERROR)
        self._span.end()
