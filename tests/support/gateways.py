"""Gateways before MiniGate and a back end, set up by the samples in config/gateways/."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from tests.support.balancers import Balancer
from tests.support.process import REPOSITORY
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NGINX: Final = """\
daemon off;
user root;
worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    {sample}
}}
"""
_CADDY: Final = "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n}\n"
_TRAEFIK: Final = """\
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
entryPoints: {{web: {{address: "127.0.0.1:{port}"}}}}
providers: {{file: {{filename: "{dynamic}", watch: false}}}}
"""


class Gateway(Balancer):
    """Asks MiniGate about each request for the back end; both listen on ports of loopback."""

    sample: str
    passes_body_on = True
    """Of what MiniGate says, when it is no 200."""

    def __init__(self, minigate: int, shop: int, home: Path) -> None:
        super().__init__([minigate, shop], home)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            await self._has_routes()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _has_routes(self) -> None:
        """Traefik listens before it knows them."""
        watch = Stopwatch()
        async with aiohttp.ClientSession() as http:
            while True:
                async with http.get(f"{self.url}/api/") as answer:
                    if answer.status != 404:
                        return
                assert not watch.exceeds(30), (self._home / "output").read_text()
                await asyncio.sleep(0.01)

    def _sample(self, before: str, after: str) -> str:
        """The sample with this gateway's ports; of its own, `before` says, and `after` is to."""
        text = (REPOSITORY / "config/gateways" / self.sample).read_text()
        minigate, shop = self._servers
        for port, actual in (("8000", minigate), ("9000", shop)):
            for place in ("127.0.0.1:", "port_value: "):
                text = text.replace(f"{place}{port}", f"{place}{actual}")
        assert before in text
        return text.replace(before, after)


class Nginx(Gateway):
    program = "nginx"
    sample = "nginx.conf"
    passes_body_on = False

    def _config(self) -> str:
        sample = self._sample("listen 8080", f"listen 127.0.0.1:{self.port}")
        return _NGINX.format(home=self._home, sample=sample)

    def _arguments(self, file: Path) -> Sequence[str]:
        return ["-p", str(self._home), "-c", str(file), "-e", str(self._home / "log")]


class Caddy(Gateway):
    program = "caddy"
    sample = "Caddyfile"

    def _config(self) -> str:
        return _CADDY + self._sample(":8080 {", f":{self.port} {{\n\tbind 127.0.0.1")

    def _arguments(self, file: Path) -> Sequence[str]:
        return ["run", "--config", str(file), "--adapter", "caddyfile"]


class Traefik(Gateway):
    program = "traefik"
    sample = "traefik.yml"

    def _config(self) -> str:
        dynamic = self._home / "dynamic.yml"
        dynamic.write_text(self._sample("", ""))
        return _TRAEFIK.format(port=self.port, dynamic=dynamic)

    def _arguments(self, file: Path) -> Sequence[str]:
        return [f"--configFile={file.rename(file.with_suffix('.yml'))}"]


class Envoy(Gateway):
    program = "envoy"
    sample = "envoy.yaml"

    def _config(self) -> str:
        return self._sample(
            "address: 0.0.0.0, port_value: 8080", f"address: 127.0.0.1, port_value: {self.port}"
        )

    def _arguments(self, file: Path) -> Sequence[str]:
        config = file.rename(file.with_suffix(".yaml"))
        return ["-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
