"""An S3 on loopback."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import boto3  # type: ignore[import-untyped]
from moto.moto_server import threaded_moto_server, werkzeug_app
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


class OneAtATime(werkzeug_app.DomainDispatcherApplication):
    """An S3 that does not forget, while it answers a PUT, what the next one replaces."""

    _turn = threading.Lock()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        with self._turn:
            return super().__call__(environ, start_response)


@contextmanager
def running_s3(bucket: str) -> Iterator[str]:
    """Yields the address of one with this bucket; all of a process know of each other's."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with patch.object(threaded_moto_server, "DomainDispatcherApplication", OneAtATime):
        server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client(url).create_bucket(Bucket=bucket)
    yield url
    server.stop()


def client(url: str) -> Any:
    """boto3's, of the S3 at this address."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )


def point_to(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Have the service take this for its S3."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
