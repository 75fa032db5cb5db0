"""What is wrong with a certificate or a disk stands in the log by its name, without secrets."""

from __future__ import annotations

import asyncio
import io
import resource
import socket
import ssl
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

import aiohttp
import pytest
from PIL import Image

from service.core.errors import (
    SessionStoreUnavailable,
    UserStoreUnavailable,
    WeChatUnavailable,
)
from service.core.fair_share import FairShare
from service.core.models import WeChatIdentity
from service.core.outage import Outage
from service.core.throttled_log import ThrottledLog
from service.redis.connect import open_client
from service.sql.connect import connect_sql
from service.sql.users import SqlUsers
from service.stores.avatars import AvatarFiles
from service.stores.keyring import Keyring
from service.wechat.http import WeChatHttp, open_http
from tests.support.certificates import Authority
from tests.support.ports import free_ports
from tests.support.process import LINUX_ONLY
from tests.support.redis_servers import HABITS, RedisProcess, until
from tests.support.running import Api, running_service
from tests.support.settings import SECRET_KEY, make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from service.config.settings import Settings
    from tests.support.running import Simulator

PASSWORD: Final = "password-canary"
SELF_SIGNED: Final = "certificate verify failed: self-signed certificate"
EXPIRED: Final = "certificate verify failed: certificate has expired"
WRONG_HOST: Final = (
    "certificate verify failed: Hostname mismatch, certificate is not valid for 'localhost'"
)
KINDS: Final = {"self-signed": SELF_SIGNED, "expired": EXPIRED, "wrong host": WRONG_HOST}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def context_of(authority: Authority, kind: str) -> ssl.SSLContext:
    if kind == "self-signed":
        return authority.self_signed()
    if kind == "expired":
        return authority.server(days=-1)
    return authority.server(host="elsewhere.example")


@asynccontextmanager
async def tls_server(context: ssl.SSLContext, *, postgres: bool = False) -> AsyncIterator[int]:
    """A port where TLS is spoken and nothing else; as PostgreSQL does, after it was asked for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if postgres:
                await reader.readexactly(8)
                writer.write(b"S")
                await writer.start_tls(context)
            await reader.read()
        except OSError:
            pass  # the client does not like the certificate
        finally:
            writer.close()

    tls = None if postgres else context
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.bar("E6")
@pytest.mark.parametrize("kind", KINDS)
async def test_redis(authority: Authority, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async with tls_server(context_of(authority, kind)) as port:
        url = f"rediss://:{PASSWORD}@localhost:{port}?ssl_ca_certs={authority.file}"
        client = open_client(make_settings(redis_url=url), Outage("redis"))
        with pytest.raises(SessionStoreUnavailable):
            await client.get("key")
        await client.aclose()
    [line] = caplog.messages
    assert line.startswith(f"redis: outage begins: GET failed: ConnectionError ({KINDS[kind]}: ")
    assert "REDIS_TLS_VERIFY" in line
    assert PASSWORD not in caplog.text


async def test_a_redis_cluster(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    async with tls_server(authority.self_signed()) as port:
        url = f"rediss+cluster://:{PASSWORD}@localhost:{port}"
        client = open_client(make_settings(redis_url=url), Outage("redis"))
        with pytest.raises(SessionStoreUnavailable):
            await client.get("key")
        await client.aclose()
    [line] = caplog.messages
    assert line.startswith(f"redis: outage begins: topology failed: NoNode ({SELF_SIGNED}: ")
    assert PASSWORD not in caplog.text


@asynccontextmanager
async def tls_cluster(authority: Authority, home: Path) -> AsyncIterator[int]:
    """A cluster of one node that is reached by TLS alone; yields its port."""
    plain, bus = free_ports(2, bus=True)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_node, to_node = await asyncio.open_connection("127.0.0.1", plain)
        pumps = [pump(reader, to_node), pump(from_node, writer)]
        await asyncio.gather(*pumps, return_exceptions=True)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    context = authority.server(host="127.0.0.1")
    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    announced = ("--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", str(port))
    bus_port = ("--cluster-announce-bus-port", str(bus))
    node = RedisProcess(home, plain, *HABITS, "--cluster-enabled", "yes", *announced, *bus_port)
    node.start()
    try:
        await until(lambda: node.answers, within=5, what="it answers")
        node.client.execute_command("CLUSTER ADDSLOTS", *range(16384))
        await until(
            lambda: node.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok",
            within=5,
            what="it serves",
        )
        yield port
    finally:
        server.close()
        node.kill()


@LINUX_ONLY
async def test_a_redis_cluster_with_an_authority_of_its_own(
    authority: Authority, tmp_path: Path
) -> None:
    async with tls_cluster(authority, tmp_path / "redis") as port:
        url = f"rediss+cluster://127.0.0.1:{port}"
        for trusted, right in ((url, False), (f"{url}?ssl_ca_certs={authority.file}", True)):
            settings = make_settings(redis_url=trusted, redis_timeout_ms=2000)
            client = open_client(settings, Outage("redis"))
            if right:
                await client.set("key", "value")
                assert await client.get("key") == b"value"
            else:
                with pytest.raises(SessionStoreUnavailable):
                    await client.get("key")
            await client.aclose()


def users_at(address: str) -> tuple[SqlUsers, Callable[[], object]]:
    database = connect_sql(address, pool_size=1)
    return SqlUsers(database, Keyring([SECRET_KEY], purpose="phone"), Outage("sql")), (
        database.aclose
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_postgresql(
    authority: Authority, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with tls_server(context_of(authority, kind), postgres=True) as port:
        users, close = users_at(
            f"postgresql://u:{PASSWORD}@localhost:{port}/users"
            f"?sslmode=verify-full&sslrootcert={authority.file}"
        )
        with pytest.raises(UserStoreUnavailable):
            await users.get("somebody")
        await close()  # type: ignore[misc]
    [line] = caplog.messages
    assert f"({KINDS[kind]}: " in line
    assert "sslrootcert" in line
    assert PASSWORD not in caplog.text


async def asked(port: int) -> WeChatUnavailable:
    """Why a call of WeChat at this port fails."""
    settings = make_settings(wechat_api_base=(f"https://localhost:{port}",))
    async with open_http(settings) as session:
        share = FairShare(1, ThrottledLog("wechat"))
        http = WeChatHttp(session, bases=settings.wechat_api_base, timeout=3, share=share)
        [app] = settings.apps.values()
        with pytest.raises(WeChatUnavailable) as fault:
            await http.ask(app, "/path", {"secret": PASSWORD}, error_map={})
    return fault.value


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SSL_CERT_FILE has it, which aiohttp reads when it is imported."""
    context = ssl.create_default_context(cafile=authority.file)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)


@pytest.mark.bar("C6")
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("kind", KINDS)
async def test_wechat(authority: Authority, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async with tls_server(context_of(authority, kind)) as port:
        fault = await asked(port)
    assert not fault.sent
    [line] = caplog.messages
    assert [vars(one)["where"] for one in caplog.records] == [f"localhost:{port}"]
    assert line.startswith("wechat: outage begins: connecting failed: ")
    assert f"({KINDS[kind]}: " in line
    assert "SSL_CERT_FILE" in line
    assert PASSWORD not in caplog.text


@pytest.mark.bar("C6")
@pytest.mark.usefixtures("trusted")
async def test_a_wechat_whose_certificate_is_good_is_asked(authority: Authority) -> None:
    async with tls_server(authority.server()) as port:
        assert (await asked(port)).sent, "it answers nonsense, but it was asked"


async def test_the_bucket_of_avatars(
    authority: Authority, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tls_server(authority.self_signed()) as port:
        for name, value in {
            "AWS_ENDPOINT": f"https://localhost:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UserStoreUnavailable):
            await AvatarFiles("s3://bucket", Outage("avatars")).put("name", b"x")
    [line] = caplog.messages
    assert line.startswith("avatars: outage begins: put failed: ")
    assert line.endswith("(certificate verify failed: UnknownIssuer)")
    assert PASSWORD not in caplog.text


async def test_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:  # bound and not listening: refused
        taken.bind(("127.0.0.1", 0))
        url = f"redis://:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}"
        client = open_client(make_settings(redis_url=url), Outage("redis"))
        with pytest.raises(SessionStoreUnavailable):
            await client.get("key")
        await client.aclose()
    assert "ECONNREFUSED: Connection refused" in caplog.text


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow past 0 bytes, which is as near to a full disk as anybody can bring it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
async def api(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    async with running_service(settings(wechat_api_base=(simulator.url,))) as running:
        yield running


async def upload(api: Api, sessionid: str) -> tuple[int, int]:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    form = aiohttp.FormData()
    form.add_field("file", picture.getvalue(), filename="f.png")
    answer = await api.ask("POST", "/me/avatar", data=form, headers={"sessionid": sessionid})
    return answer.status, answer.code


async def test_a_disk_that_takes_no_more_is_a_503_that_the_log_explains(
    api: Api, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    sessionid = (await api.login(await simulator.code())).data["sessionid"]
    stranger = await simulator.code("bob")
    with full_disk():
        picture = await upload(api, sessionid)
        login = await api.login(stranger)
        again = await api.session(sessionid)
    assert picture == (503, 50301)
    assert (login.status, login.code) == (503, 50301)
    assert again.status == 200
    lines = [line for line in caplog.messages if " failed: " in line]
    [picture_line] = [one for one in lines if one.startswith("avatars: outage begins: put failed")]
    assert picture_line.endswith("(EFBIG: File too large)")
    [sql_line] = [one for one in lines if one.startswith("sql: outage begins: write failed")]
    assert sql_line.endswith(("(SQLITE_FULL)", "(SQLITE_IOERR_WRITE)", "(SQLITE_IOERR_SHMSIZE)"))


async def test_a_database_that_may_not_be_written_is_named(
    empty_database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users, close = users_at(f"sqlite:///file:{empty_database}?mode=ro&uri=true")
    with pytest.raises(UserStoreUnavailable):
        await users.find_or_create("wx1", WeChatIdentity("openid", b"k" * 16))
    await close()  # type: ignore[misc]
    assert "(SQLITE_READONLY)" in caplog.text


async def test_a_folder_that_cannot_be_made_stops_no_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in the way").write_text("")
    store = AvatarFiles(f"file://{tmp_path}/in the way/uploads", Outage("avatars"))
    with pytest.raises(UserStoreUnavailable):
        await store.put("name", b"x")
    line = caplog.messages[0]
    assert line.startswith("avatars: outage begins: making the folder failed: NotADirectoryError (")
