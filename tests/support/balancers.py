"""HAProxy and nginx in front of the service, as processes, set up as people set them up."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Final, Self

import pytest

from tests.support.children import spawn
from tests.support.ports import free_port
from tests.support.process import REPOSITORY, eventually

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HAPROXY: Final = """\
global
    log stdout format raw local0

defaults
    mode http
    option httplog
    option forwardfor
    timeout connect 5s
    timeout client 60s
    timeout server 30s
    retries 3
    {redispatch}

frontend public
    bind 127.0.0.1:{port}
    default_backend minigate

backend minigate
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 500ms fall 2 rise 1
{servers}
"""
"""What is retried is a connect that failed, by default; never a request."""

_NGINX: Final = """\
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/log;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    log_format tries '$status|$upstream_status|$upstream_connect_time|$request';
    access_log {home}/requests tries;
    keepalive_requests 1000000;

    upstream minigate {{
{servers}
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://minigate;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_next_upstream {next_upstream};
        }}
    }}
}}
"""


_FROM_PYPI: Final = {"caddy", "envoy", "traefik"}
_PLACES: Final = (str(REPOSITORY / "build/gateways/venv/bin"), os.environ["PATH"], "/usr/sbin")


def needs(program: str) -> pytest.MarkDecorator:
    """Skips a test where this program is not installed."""
    installer = "make faults" if program in _FROM_PYPI else "tests/servers.sh"
    return pytest.mark.skipif(
        _found(program) is None, reason=f"no {program} here: {installer} installs it"
    )


class Balancer:
    """One of them, in front of servers on these ports of loopback."""

    program: str

    def __init__(self, servers: Sequence[int], home: Path) -> None:
        self.port = free_port()
        self._servers = servers
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        file = self._home / "config"
        file.write_text(self._config())
        program = _found(self.program)
        assert program, f"no {self.program} here"
        with (self._home / "output").open("wb") as output:
            self._process = spawn(
                [program, *self._arguments(file)],
                cwd=self._home,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        process = self._process

        def listens() -> bool:
            assert process.poll() is None, (self._home / "output").read_text()
            return _listens(self.port)

        await eventually(listens, within=30, what=f"{self.program} listens")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()  # nginx's worker would outlive a SIGKILL of its master
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _config(self) -> str:
        raise NotImplementedError

    def _arguments(self, file: Path) -> Sequence[str]:
        raise NotImplementedError

    def sent_twice(self) -> int:
        """How many requests it has brought to a second server after the first had them."""
        raise NotImplementedError


class HAProxy(Balancer):
    """Asks `/readyz` twice a second, and reuses connections as it does by default."""

    program = "haproxy"

    def __init__(self, servers: Sequence[int], home: Path, *, redispatch: bool) -> None:
        """`redispatch`: whether a connect that is refused is tried at another server."""
        super().__init__(servers, home)
        self._redispatch = redispatch

    def _config(self) -> str:
        servers = "\n".join(
            f"    server s{number} 127.0.0.1:{port}" for number, port in enumerate(self._servers)
        )
        redispatch = "option redispatch" if self._redispatch else "no option redispatch"
        return _HAPROXY.format(port=self.port, servers=servers, redispatch=redispatch)

    def _arguments(self, file: Path) -> Sequence[str]:
        return ["-db", "-f", str(file)]

    def sent_twice(self) -> int:
        return 0  # without `retry-on` it does not


class Nginx(Balancer):
    """Keeps connections to the servers; it learns of one that is away by trying it."""

    program = "nginx"

    def __init__(self, servers: Sequence[int], home: Path, *, next_upstream: str) -> None:
        """`next_upstream`: what is tried on another server, as `proxy_next_upstream` has it."""
        super().__init__(servers, home)
        self._next_upstream = next_upstream

    def _config(self) -> str:
        servers = "\n".join(
            f"        server 127.0.0.1:{port} max_fails=0;" for port in self._servers
        )
        return _NGINX.format(
            home=self._home, port=self.port, servers=servers, next_upstream=self._next_upstream
        )

    def _arguments(self, file: Path) -> Sequence[str]:
        return ["-p", str(self._home), "-c", str(file), "-e", str(self._home / "log")]

    def sent_twice(self) -> int:
        """By its log: the first try got as far as a connection."""
        lines = (self._home / "requests").read_text(errors="replace").splitlines()
        tries = (line.split("|")[2].split(", ") for line in lines)
        return sum(any(connected != "-" for connected in one[:-1]) for one in tries)


def _found(program: str) -> str | None:
    return shutil.which(program, path=os.pathsep.join(_PLACES))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
