"""Questions to `/verify` and what looks like some: usual ones, odd ones and malformed ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import TYPE_CHECKING, Final

from service.http.routes.verify import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

END: Final = b"\r\n\r\n"
UNKNOWN: Final = "A" * 22 + "." + "B" * 43
MALFORMED: Final = "A" * 22 + "," + "B" * 43
_CARRIERS: Final = {
    "sessionid": "sessionid: {}",
    "x-session-id": "X-Session-Id: {}",
    "bearer": "Authorization: Bearer {}",
    "skey": "X-WX-Skey: {}",
}
_CHARACTERS: Final = bytes(set(range(0x21, 0x7F)) - set(b"#"))


@dataclass(frozen=True)
class Case:
    """What is sent on one connection."""

    name: str
    raw: bytes
    is_short: bool = False
    """Whether the short way has to take it."""
    cuts: tuple[int, ...] = ()
    """Where it is cut into segments."""

    @property
    def segments(self) -> list[bytes]:
        ends = (0, *self.cuts, len(self.raw))
        return [self.raw[start:end] for start, end in pairwise(ends)]


@dataclass(frozen=True)
class Ids:
    """Those of sessions."""

    live: str
    other: str
    """Live as well, of another user."""
    dead: Mapping[str, str]
    """By what they are."""


def request(
    *headers: bytes | str,
    line: bytes | str = b"GET /verify HTTP/1.1",
    host: bytes | str | None = b"Host: here",
    body: bytes = b"",
) -> bytes:
    lines = (line, *([] if host is None else [host]), *headers)
    return b"\r\n".join(one.encode() if isinstance(one, str) else one for one in lines) + END + body


def corpus(ids: Ids, *, with_skey: bool = False) -> list[Case]:
    """All of it; `with_skey`: as where WAFER_COMPAT is on."""
    found = [
        *_lines(ids.live),
        *_versions(ids.live),
        *_hosts(ids.live),
        *_connections(ids.live),
        *_bodies(ids.live),
        *_ids(ids, with_skey=with_skey),
        *_two_ids(ids),
        *_request_ids(ids.live),
        *_refusals(ids),
        *_odd_heads(ids.live),
        *_sizes(ids.live),
        *_pipelines(ids),
    ]
    names = [case.name for case in found]
    assert len(names) == len(set(names)), "a name twice"
    return found


def cut_ones(ids: Ids) -> list[Case]:
    """Some requests, cut at every byte, and one in single bytes."""
    plain = request(f"sessionid: {ids.live}")
    two = plain + request(f"sessionid: {ids.other}")
    return [
        *(
            Case(f"{name} cut at {at}", raw, cuts=(at,))
            for name, raw in (("plain", plain), ("two", two))
            for at in range(1, len(raw))
        ),
        Case("byte by byte", plain, cuts=tuple(range(1, len(plain)))),
    ]


def _lines(live: str) -> Iterator[Case]:
    session = f"sessionid: {live}"
    for method in METHODS:
        yield Case(method, request(session, line=f"{method} /verify HTTP/1.1"), is_short=True)
    for method in ("get", "Get", "TRACE", "CONNECT", "PROPFIND", "GETS", "NONE", "", "G T", "*"):
        yield Case(f"method {method}", request(session, line=f"{method} /verify HTTP/1.1"))
    for behind in (
        *("?", "/", "//", "///", "/?", "?/", "/a//?b", "?a=b&c=%20?&d", "/%FF", "/%ff/%e5%b0%8f"),
        *(
            "/../livez",
            "/%2e%2e/livez",
            "/..",
            "/.",
            "/verify",
            "/%",
            "/%zz",
            "?%",
            "/%00",
            "/;a=b",
        ),
        *("/api/orders/17?page=2", "?page=2", "?http://there/", "/http://there/", "/a:b@c", "??"),
        *("/" + "a/" * 1000, "/" + "/" * 2000, "?" + "a" * 2000, "/livez", "/a?b/..", "/me", "/*"),
    ):
        line = f"GET /verify{behind} HTTP/1.1"
        yield Case(f"behind it {behind[:30]}", request(session, line=line), is_short=True)
    for one in _CHARACTERS:
        path = request(session, line=b"GET /verify/a%cb HTTP/1.1" % one)
        yield Case(f"path with {one:#x}", path, is_short=True)
        query = request(session, line=b"GET /verify?a%cb HTTP/1.1" % one)
        yield Case(f"query with {one:#x}", query, is_short=True)
    for target in (
        *("/verifyx", "/Verify", "/VERIFY", "/verif", "/verif%79", "/%76erify", "//verify", "/"),
        *("/./verify", "/a/../verify", "/verify#a", "/verify/#", "/verify?#", "verify", "*", ""),
        *("http://here/verify", "HTTP://here/verify", "//here/verify", "here:443", "/livez", "/me"),
        *("/verify%2F", "/verify%3Fa", "/verify;a", "/verify\t", "/verify\n", "/verify\r", "/x//"),
        *("/verify/小明", "/verify?小明", "/verify\0", "/verify/\x7f", "/verify a", "/session"),
    ):
        raw = request(session, line=f"GET {target} HTTP/1.1", host="Host: here")
        yield Case(f"target {target!r}", raw)
    for line in ("GET  /verify HTTP/1.1", "GET /verify  HTTP/1.1", " GET /verify HTTP/1.1", "GET"):
        yield Case(f"line {line!r}", request(session, line=line))
    yield Case("line of tabs", request(session, line="GET\t/verify\tHTTP/1.1"))
    yield Case("a line break first", b"\r\n" + request(session))
    yield Case("a line feed first", b"\n" + request(session))
    yield Case("nothing but a line", b"GET /verify HTTP/1.1" + END)
    yield Case("line in non-ASCII", request(session, line=b"GET /verify\xff HTTP/1.1"))


def _versions(live: str) -> Iterator[Case]:
    session = f"sessionid: {live}"
    for connection in ((), ("Connection: keep-alive",), ("Connection: close",)):
        raw = request(session, *connection, line="GET /verify HTTP/1.0")
        yield Case(f"HTTP/1.0 {connection}", raw, is_short=True)
    for version in ("1.2", "0.9", "2.0", "1", "1.10", "01.1", "1.", "１.1", "1.1 ", "9.9", "1,1"):
        yield Case(f"HTTP/{version}", request(session, line=f"GET /verify HTTP/{version}"))
    for word in ("http/1.1", "HTTPS/1.1", "HTTP", "HTTP/", ""):
        yield Case(f"version {word!r}", request(session, line=f"GET /verify {word}"))
    yield Case("no version", request(session, line="GET /verify"))


def _hosts(live: str) -> Iterator[Case]:
    session = f"sessionid: {live}"
    usual = (
        "Host:",
        "Host: ",
        "Host:here",
        "HOST: here",
        "host:\there ",
        "Host: a b",
        "Host: 小明",
    )
    for host in usual:
        is_short = host.isascii()
        yield Case(f"host {host!r}", request(session, host=host), is_short=is_short)
    yield Case("no host", request(session, host=None))
    no_host = request(session, host=None, line="GET /verify HTTP/1.0")
    yield Case("no host in HTTP/1.0", no_host, is_short=True)
    for second in ("Host: there", "Host: here", "host:"):
        yield Case(f"a second host {second}", request(session, second))
        raw = request(session, second, line="GET /verify HTTP/1.0")
        yield Case(f"a second host in HTTP/1.0 {second}", raw)


def _connections(live: str) -> Iterator[Case]:
    session = f"sessionid: {live}"
    for value in (
        *("close", "keep-alive", "Close", "CLOSE", "Keep-Alive", "KEEP-ALIVE", "close ", "", "x"),
        *("keep-alive ", "keep-alive\t", "\tclose", "close, keep-alive", "keep-alive, close"),
        *("Upgrade", "upgrade, close", "keep-alive,", "keep alive", "TE", '"close"', "sessionid"),
        *("keep-alive, Upgrade", "Keep-Alive,Keep-Alive", "  keep-alive"),
    ):
        for version in ("1.1", "1.0"):
            line = f"GET /verify HTTP/{version}"
            raw = request(session, f"Connection: {value}", line=line)
            yield Case(f"connection {value!r} in {version}", raw, is_short=True)
            raw = request(f"connection:{value}", session, line=line)
            yield Case(f"connection first {value!r} in {version}", raw, is_short=True)
    for first, second in (("close", "keep-alive"), ("keep-alive", "close"), ("close", "close")):
        raw = request(f"Connection: {first}", session, f"CONNECTION: {second}")
        yield Case(f"connections {first} {second}", raw, is_short=True)
    for odd in (
        b"keep-alive\xa0",
        b"\xc2\xa0keep-alive",
        b"\xc2\x85close",
        b"\xff",
        b"\xe2\x84\xaa",
    ):
        yield Case(f"connection {odd!r}", request(session, b"Connection: " + odd))
    for odd in (b"\x0bclose", b"\x1fkeep-alive", b"clo\0se"):
        yield Case(f"connection {odd!r}", request(session, b"Connection: " + odd))
    for more in (
        (
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: a",
            "Sec-WebSocket-Version: 13",
        ),
        ("Upgrade: websocket",),
        ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: a"),
        ("Keep-Alive: timeout=5", "Proxy-Connection: close"),
    ):
        yield Case(f"with {more[0]} {len(more)}", request(session, *more), is_short=True)


def _bodies(live: str) -> Iterator[Case]:
    session = f"sessionid: {live}"
    for method in ("GET", "HEAD", "POST"):
        line = f"{method} /verify HTTP/1.1"
        for length in ("0", "00", "000000", " 0", "\t0"):
            raw = request(session, f"Content-Length: {length}", line=line)
            # More than a space before it Sanic refuses.
            yield Case(f"{method} of length {length!r}", raw, is_short=not length.startswith("\t"))
        for length in ("5", "05", "77", "99999999999999999999", "16385"):
            raw = request(session, f"Content-Length: {length}", line=line)
            yield Case(f"{method} of length {length}, not sent", raw)
            yield Case(f"{method} of length {length} with some", raw + b"hello")
        for length in (
            "+0",
            "-0",
            "0x0",
            "0_0",
            "0 ",
            "0,0",
            "",
            " ",
            "０",
            "a",
            "-1",
            "0\t",
            "0.0",
        ):
            raw = request(session, f"Content-Length: {length}", line=line)
            yield Case(f"{method} of length {length!r} refused", raw)
            yield Case(f"{method} of length {length!r} refused with some", raw + b"hello")
    two = ("Content-Length: 0", "content-length: 0")
    yield Case("two lengths", request(session, *two))
    yield Case("two other lengths", request(session, "Content-Length: 0", "Content-Length: 5"))
    yield Case(
        "two other lengths, turned", request(session, "Content-Length: 5", "Content-Length: 0")
    )
    yield Case(
        "a length and chunks", request(session, "Content-Length: 0", "Transfer-Encoding: chunked")
    )
    yield Case("length with a space", request(session, "Content-Length : 0"))
    yield Case("unannounced", request(session, body=b"hello"))
    yield Case("of length 0, with some", request(session, "Content-Length: 0", body=b"hello"))
    chunked = b"5\r\nhello\r\n0\r\n\r\n"
    for coding in ("chunked", "Chunked", "identity", "gzip, chunked", "chunked, chunked", "", "x"):
        for version in ("1.1", "1.0"):
            line = f"POST /verify HTTP/{version}"
            head = request(session, f"Transfer-Encoding: {coding}", line=line)
            for body in (b"", b"0\r\n\r\n", chunked, chunked[:7], b"x\r\n\r\n"):
                yield Case(f"{coding!r} in {version} {body!r}", head + body)
    for value in ("100-continue", "100-Continue", "", "200-ok"):
        raw = request(session, f"Expect: {value}")
        yield Case(f"expects {value!r}", raw, is_short=True)
        for length in ("0", "5"):
            raw = request(session, f"Expect: {value}", f"Content-Length: {length}")
            yield Case(f"expects {value!r} with a length {length}", raw)
        raw = request(session, f"Expect: {value}", "Transfer-Encoding: chunked")
        yield Case(f"expects {value!r} with chunks", raw)
    yield Case("of a type", request(session, "Content-Type: application/json"), is_short=True)
    yield Case("with trailers", request(session, "TE: trailers", "Trailer: a"), is_short=True)


def _ids(ids: Ids, *, with_skey: bool) -> Iterator[Case]:
    live, other = ids.live, ids.other
    for name in ("sessionid", "SESSIONID", "Sessionid", "X-Session-Id", "x-session-id"):
        for before in ("", " ", "  ", "\t", " \t "):
            for behind in ("", " ", "\t", " \t "):
                raw = request(f"{name}:{before}{live}{behind}")
                yield Case(f"{name}:{before!r}{behind!r}", raw, is_short=True)
        yield Case(f"{name} twice", request(f"{name}: {live}", f"{name}: {live}"))
        yield Case(f"{name} twice, others", request(f"{name}: {live}", f"{name}: {other}"))
        yield Case(f"{name} joined", request(f"{name}: {live},{live}"))
        yield Case(f"{name} empty", request(f"{name}:"))
        yield Case(f"{name} in quotes", request(f'{name}: "{live}"'))
        yield Case(f"{name} and more", request(f"{name}: {live}x"))
        yield Case(f"{name} in two", request(f"{name}: {live} {live}"))
        for odd in (b"\xff", b"\xc2\xa0", b"\xc2\x85", b"\0", b"\x0b", b"\x1f", b"\xef\xbb\xbf"):
            yield Case(f"{name} {odd!r} first", request(f"{name}: ".encode() + odd + live.encode()))
            yield Case(f"{name} {odd!r} last", request(f"{name}: {live}".encode() + odd))
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        raw = request(f"Authorization: {scheme} {live}")
        yield Case(f"{scheme}", raw, is_short=True)
        padded = request(f"authorization:\t{scheme}  \t{live} \t")
        yield Case(f"{scheme} padded", padded, is_short=True)
    for value in (
        *(f"Bearer\t{live}", f"Bearer{live}", live, f"Basic {live}", f"Bearer: {live}", "Bearer"),
        *(f"Session {live}", f"Bearer {live} {live}", f"Bearer {live}, Basic a", " ", "Bearer "),
        *(f"Bearer Bearer {live}", "Basic YTpi", f"Token token={live}", f"Bear\u00e9r {live}"),
    ):
        yield Case(
            f"authorization {value.replace(live, '<id>')!r}", request(f"Authorization: {value}")
        )
    bearer = f"Authorization: Bearer {live}"
    yield Case("Bearer twice", request(bearer, bearer))
    yield Case("Bearer and Basic", request(bearer, "Authorization: Basic YTpi"))
    skey = f"X-WX-Skey: {live}"
    yield Case("skey", request(skey), is_short=with_skey)
    yield Case("skey twice", request(skey, skey))
    everything = [carrier.format(live) for carrier in _CARRIERS.values()]
    yield Case("in all of them", request(*everything), is_short=True)
    basic = request(f"sessionid: {live}", "Authorization: Basic YTpi")
    yield Case("sessionid and Basic", basic, is_short=True)
    yield Case("in a cookie", request(f"Cookie: sessionid={live}"))
    yield Case("in the query", request(line=f"GET /verify?sessionid={live} HTTP/1.1"))
    for what, dead in {**ids.dead, "unknown": UNKNOWN, "malformed": MALFORMED}.items():
        for name, carrier in _CARRIERS.items():
            yield Case(f"{what} in {name}", request(carrier.format(dead)))
    half = live.partition(".")[0] + "." + "C" * 43
    yield Case("with a wrong secret", request(f"sessionid: {half}"))
    yield Case("none", request())


def _two_ids(ids: Ids) -> Iterator[Case]:
    live = ids.live
    for (one, first), (two, second) in permutations(_CARRIERS.items(), 2):
        raw = request(first.format(live), second.format(live))
        yield Case(f"{one} and {two}, the same", raw, is_short=True)
        raw = request(first.format(live), second.format(ids.other))
        yield Case(f"{one} and {two}, others", raw)
        raw = request(first.format(UNKNOWN), second.format(live))
        yield Case(f"{one} of nobody and {two}", raw)
        # A Bearer or an skey that is none by its form is meant for somebody else.
        is_short = one != "skey" and two in {"bearer", "skey"}
        raw = request(first.format(live), second.format("none-of-ours"))
        yield Case(f"{one} and {two} of another form", raw, is_short=is_short)
        raw = request(first.format(live), second.format(""))
        yield Case(f"{one} and {two}, empty", raw, is_short=is_short)


def _request_ids(live: str) -> Iterator[Case]:
    session = f"sessionid: {live}"
    for value in ("a", "7f6e-4a_b.C", "x" * 64, "\tgiven", "  given"):
        yield Case(f"called {value!r}", request(session, f"X-Request-ID: {value}"), is_short=True)
    for value in ("", "a b", "x" * 65, "a\t", "given ", '"', "%s", "%", "a,b", "<>", "a;b"):
        raw = request(session, f"x-request-id: {value}")
        yield Case(f"called {value!r}, unusable", raw, is_short=True)
    for odd in (b"\xff", "小明".encode(), b"a\xc2\xa0", b"\xc2\xa0a", b"a\0"):
        yield Case(f"called {odd!r}", request(session, b"X-Request-ID: " + odd))
    for first, second in (("one", "two"), ("", "two"), ("one", ""), ("a b", "two")):
        raw = request(session, f"X-Request-ID: {first}", f"X-REQUEST-ID: {second}")
        yield Case(f"called {first!r} and {second!r}", raw, is_short=True)


def _refusals(ids: Ids) -> Iterator[Case]:
    wishes = (
        *("Accept: application/problem+json", "Accept: text/html", "Accept: */*", "Accept:"),
        *("Accept-Language: en", "Accept-Language: zh-CN,zh;q=0.9", "Accept-Language: en;q=0.1,zh"),
        *("Accept-Language: ,;q=", "Accept-Encoding: gzip", "X-Request-ID: given"),
    )
    for wish in wishes:
        yield Case(f"{wish} live", request(wish, f"sessionid: {ids.live}"), is_short=True)
        for what, dead in {**ids.dead, "unknown": UNKNOWN, "none": ""}.items():
            yield Case(f"{wish} {what}", request(wish, f"sessionid: {dead}"))
    for what, dead in {**ids.dead, "unknown": UNKNOWN}.items():
        for more in ("Connection: close", "Content-Length: 0", "Content-Length: 5", "Expect: x"):
            yield Case(f"{what} with {more}", request(more, f"sessionid: {dead}"))
        raw = request(f"sessionid: {dead}", line="HEAD /verify HTTP/1.1")
        yield Case(f"{what} by HEAD", raw)
        raw = request(f"sessionid: {dead}", line="GET /verify HTTP/1.0")
        yield Case(f"{what} in HTTP/1.0", raw)


def _odd_heads(live: str) -> Iterator[Case]:
    session = f"sessionid: {live}".encode()
    for line in (
        *(b"X-Nick: \xe5\xb0\x8f\xe6\x98\x8e", b"A:", b"A:b", b"A: b\t", b"!#$%&'*+-.^_`|~9: :"),
        *(b"A: \xff\xfe", b"A: \xc2\x85", b"A::", b'A: "sessionid: x"', b"Sessionid-X: a", b"1: 2"),
        *(b"X-Sessionid: a", b"A: Host: there", b"A: Connection: close", b"Forwarded: for=_x"),
    ):
        yield Case(f"with {line!r}", request(session, line), is_short=True)
        yield Case(f"with {line!r} first", request(line, session), is_short=True)
    for line in (
        *(b"no colon", b": nameless", b" : b", b"A B: c", b"(A): b", b"A\x01: b", b"A: b\0c"),
        *(b"A: b\x08", b"A: b\x0bc", b"A: b\x1b[2J", b"A: b\x7f", b"A: b\nB: c", b"A: b\rB: c"),
        *(b"A: b\r", b"A:\nb", b"A: b\r\n c", b"A: b\r\n\tc", b"\xef\xbc\xa1: b", b"A\xff: b"),
        *(b"A : b", b"A\t: b", b" A: b", b"\tA: b", b'"A": b', b"A\0: b", b"sessionid : x", b"\r"),
        *(
            b"A: b\nsessionid: x",
            b"A: b\rsessionid: x",
            b"A: b\r\n sessionid: x",
            b"\n",
            b"A: b\n\n",
        ),
        *(b"A: b\r\r\nB: c", b"A: b\r\n\nB: c", b"sessionid\xa0: x", b"\xc2\xa0Host: x", b"A;b: c"),
    ):
        yield Case(f"with odd {line!r}", request(session, line))
        yield Case(f"with odd {line!r} first", request(line, session))
        yield Case(f"with odd {line!r} before all", request(session, host=line))
    yield Case("line feeds alone", request(session).replace(b"\r\n", b"\n"))
    yield Case("line feeds, but for the end", request(session)[:-4].replace(b"\r\n", b"\n") + END)
    yield Case("carriage returns alone", request(session).replace(b"\n", b""))
    yield Case("one line feed within", request(session, b"A: b").replace(b"\r\nA", b"\nA"))
    yield Case("cut short", request(session)[:-2])
    yield Case("an empty line too many", request(session) + b"\r\n")
    yield Case("nothing but ends", END + END)
    yield Case("nothing but noise", bytes(range(256)))
    yield Case("a hello of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64))


def _sizes(live: str) -> Iterator[Case]:
    session = f"sessionid: {live}"
    for count in (98, 99, 100, 101):
        more = (f"A{number}: b" for number in range(count - 2))
        yield Case(f"{count} headers", request(session, *more), is_short=count <= 100)
        raw = request(session, *("A:" for _ in range(count - 2)))
        yield Case(f"{count} empty headers", raw, is_short=count <= 100)
    bare = len(request(session, "A: "))
    for size in (*range(8183, 8205), 16384, 16388, 20000):
        raw = request(session, "A: " + "b" * (size - bare))
        yield Case(f"{size} bytes", raw, is_short=size <= 8192)
        bare_line = len(request(session, line="GET /verify? HTTP/1.1"))
        raw = request(session, line="GET /verify?" + "b" * (size - bare_line) + " HTTP/1.1")
        yield Case(f"{size} bytes by its address", raw, is_short=size <= 8192)
    yield Case("a name of 7,000 bytes", request(session, "A" * 7000 + ": b"), is_short=True)


def _pipelines(ids: Ids) -> Iterator[Case]:
    one, two = request(f"sessionid: {ids.live}"), request(f"sessionid: {ids.other}")
    parts = {
        "one": one,
        "two": two,
        "dead": request(f"sessionid: {UNKNOWN}"),
        "closing": request("Connection: close", f"sessionid: {ids.live}"),
        "head": request(f"sessionid: {ids.other}", line="HEAD /verify HTTP/1.1"),
        "livez": request(line="GET /livez HTTP/1.1"),
        "posted": request(
            "Content-Length: 5", f"sessionid: {ids.live}", line="POST /verify HTTP/1.1"
        )
        + b"hello",
        "malformed": request("A : b"),
        "half": one[:40],
    }
    for first, before in parts.items():
        for second, behind in parts.items():
            yield Case(f"{first}, {second}", before + behind)
            yield Case(f"{first}, {second}, two", before + behind + two)
    yield Case("one two, ten times", (one + two) * 10)
    yield Case("two hundred", (one + two) * 100)
