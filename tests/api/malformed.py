"""Requests that have more than one meaning, or none: each is refused, and ends its connection."""

from __future__ import annotations

from typing import Final

SESSION: Final = b"A" * 22 + b"." + b"B" * 43
GET: Final = b"GET /livez HTTP/1.1\r\nHost: here"
POST: Final = b"POST /logout HTTP/1.1\r\nHost: here\r\nsessionid: " + SESSION
END: Final = b"\r\n\r\n"
HIDDEN: Final = GET + END
CHUNKED: Final = POST + b"\r\nTransfer-Encoding: chunked" + END
WHOLE: Final = b"5\r\nhello\r\n0\r\n\r\n"
_HIDDEN_CHUNK: Final = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)


def _of_length(header: bytes) -> bytes:
    return POST + b"\r\n" + header + END + HIDDEN


HIDING: Final = {
    "space before the colon": _of_length(b"Content-Length : %d" % len(HIDDEN)),
    "tab before the colon": _of_length(b"Content-Length\t: %d" % len(HIDDEN)),
    "folded": _of_length(b"A: b\r\n Content-Length: %d" % len(HIDDEN)),
    "folded by a tab": _of_length(b"A: b\r\n\tContent-Length: %d" % len(HIDDEN)),
    "bare LF": _of_length(b"A: b\nContent-Length: %d" % len(HIDDEN)),
    "bare CR": _of_length(b"A: b\rContent-Length: %d" % len(HIDDEN)),
    "Arabic digits": _of_length("Content-Length: ٣٥".encode()),
    "wide digits": _of_length("Content-Length: ３５".encode()),
    "no-break space": _of_length(b"Content-Length: \xc2\xa0%d" % len(HIDDEN)),
    "vertical tab": _of_length(b"content-length:\x0b%d" % len(HIDDEN)),
    "chunked, with a tab": POST + b"\r\nTransfer-Encoding: \x0bchunked" + END + _HIDDEN_CHUNK,
    "chunked, with a space": POST + b"\r\nTransfer-Encoding: \xc2\xa0chunked" + END + _HIDDEN_CHUNK,
    "NUL": _of_length(b"Content-Length\0: %d" % len(HIDDEN)),
    "quoted": _of_length(b'"Content-Length": %d' % len(HIDDEN)),
}

_REQUEST_LINES: Final = {
    "no target": b"GET HTTP/1.1",
    "no version": b"GET /livez",
    "nothing but a method": b"GET",
    "two spaces": b"GET  /livez HTTP/1.1",
    "two spaces later": b"GET /livez  HTTP/1.1",
    "tabs": b"GET\t/livez\tHTTP/1.1",
    "a space first": b" GET /livez HTTP/1.1",
    "a space last": b"GET /livez HTTP/1.1 ",
    "a fourth word": b"GET /livez HTTP/1.1 more",
    "an empty line first": b"\r\nGET /livez HTTP/1.1",
    "HTTP/1.2": b"GET /livez HTTP/1.2",
    "HTTP/2.0": b"PRI * HTTP/2.0",
    "HTTP/0.9": b"GET /livez HTTP/0.9",
    "HTTP/1": b"GET /livez HTTP/1",
    "HTTP/01.1": b"GET /livez HTTP/01.1",
    "HTTP/1.10": b"GET /livez HTTP/1.10",
    "http/1.1": b"GET /livez http/1.1",
    "HTTPS/1.1": b"GET /livez HTTPS/1.1",
    "wide digit": "GET /livez HTTP/1.１".encode(),
    "no-break space": "GET /livez\u00a0HTTP/1.1".encode(),
    "no method": b" /livez HTTP/1.1",
    "method with a colon": b"GET: /livez HTTP/1.1",
    "method in brackets": b"(GET) /livez HTTP/1.1",
    "method with an at": b"G@T /livez HTTP/1.1",
    "method in quotes": b'"GET" /livez HTTP/1.1',
    "method with a slash": b"GET/ /livez HTTP/1.1",
    "method with a NUL": b"GET\0 /livez HTTP/1.1",
    "method with a DEL": b"GET\x7f /livez HTTP/1.1",
    "method of another script": "ＧＥＴ /livez HTTP/1.1".encode(),
    "target with a NUL": b"GET /livez\0 HTTP/1.1",
    "target with a DEL": b"GET /livez\x7f HTTP/1.1",
    "target with an escape": b"GET /livez\x1b[2J HTTP/1.1",
    "target in Chinese": "GET /livez/登录 HTTP/1.1".encode(),
    "target with LF": b"GET /livez\nX HTTP/1.1",
    "target with CR": b"GET /livez\rX HTTP/1.1",
    "target that is no address": b"GET http://[half HTTP/1.1",
    "target without a path": b"GET http://here HTTP/1.1",
    "target without a path, with a port": b"GET http://here:80 HTTP/1.1",
    "target without a path, with a query": b"GET http://here?b HTTP/1.1",
    "target without a path, with a user": b"GET http://user:word@here HTTP/1.1",
    "target of another scheme": b"POST foo://here HTTP/1.1",
    "target with a host": b"GET http://here/livez HTTP/1.1",
    "target with another host": b"GET https://there/livez HTTP/1.1",
    "target that is a host": b"GET here HTTP/1.1",
    "target that is a host and a port": b"CONNECT here:443 HTTP/1.1",
    "target for the whole server": b"OPTIONS * HTTP/1.1",
    "target with a fragment": b"GET /livez#there HTTP/1.1",
    "target with an empty fragment": b"GET /livez# HTTP/1.1",
    "target with a fragment in its query": b"GET /livez?a#b HTTP/1.1",
    "target without a slash": b"GET livez HTTP/1.1",
    "target that is a query": b"GET ?a=b HTTP/1.1",
}

_HEADERS: Final = {
    "no colon": b"no colon",
    "no name": b": nameless",
    "a space for a name": b" : b",
    "name of two words": b"A B: c",
    "name in brackets": b"(A): b",
    "name with an at": b"A@B: c",
    "name with a slash": b"A/B: c",
    "name with an equals sign": b"A=B: c",
    "name of another script": "Ａ: b".encode(),
    "name with a control": b"A\x01: b",
    "value with a NUL": b"A: b\0c",
    "value with a backspace": b"A: b\x08c",
    "value with a vertical tab": b"A: b\x0bc",
    "value with an escape": b"A: b\x1b[2J",
    "value with a DEL": b"A: b\x7fc",
    "value with LF": b"A: b\nB: c",
    "value with CR": b"A: b\rB: c",
    "value with CR last": b"A: b\r",
    "value with LF first": b"A:\nb",
    "folded": b"A: b\r\n c",
    "a second host": b"Host: there",
    "the same host again": b"Host: here",
    "101 headers": b"\r\n".join(b"A%d: b" % number for number in range(100)),
    "1,600 headers": b"\r\n".join(b"A:b" for _ in range(1600)),
}

_LENGTHS: Final = {
    "negative": b"Content-Length: -1",
    "signed": b"Content-Length: +35",
    "hexadecimal": b"Content-Length: 0x23",
    "with letters": b"Content-Length: 35a",
    "with a point": b"Content-Length: 35.0",
    "with an exponent": b"Content-Length: 3e1",
    "with an underscore": b"Content-Length: 3_5",
    "with a space": b"Content-Length: 3 5",
    "a list": b"Content-Length: 35, 35",
    "a list of others": b"Content-Length: 35, 0",
    "with a parameter": b"Content-Length: 35;a",
    "in quotes": b'Content-Length: "35"',
    "none": b"Content-Length:",
    "blank": b"Content-Length: ",
    "5,000 digits": b"Content-Length: " + b"1" * 5000,
    "twice": b"Content-Length: 35\r\nContent-Length: 35",
    "twice, otherwise": b"Content-Length: 35\r\nContent-Length: 0",
    "chunked too": b"Content-Length: 35\r\nTransfer-Encoding: chunked",
    "chunked first": b"Transfer-Encoding: chunked\r\nContent-Length: 35",
}

_CODINGS: Final = {
    "gzip": b"gzip",
    "identity": b"identity",
    "gzip, chunked": b"gzip, chunked",
    "chunked, gzip": b"chunked, gzip",
    "chunked twice": b"chunked, chunked",
    "chunked with a comma": b"chunked,",
    "chunked with a parameter": b"chunked;q=1",
    "chunked in quotes": b'"chunked"',
    "nearly chunked": b"xchunked",
    "hardly chunked": b"chunke",
    "nothing": b"",
    "a line each": b"chunked\r\nTransfer-Encoding: chunked",
    "a line for identity": b"chunked\r\nTransfer-Encoding: identity",
    "with LF": b"\nchunked",
    "with NUL": b"chunked\0",
}

_CHUNKS: Final = {
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "0X": b"0X5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "point": b"5.0\r\nhello\r\n0\r\n\r\n",
    "comma": b"5,\r\nhello\r\n0\r\n\r\n",
    "h": b"5h\r\nhello\r\n0\r\n\r\n",
    "g": b"g\r\nhello\r\n0\r\n\r\n",
    "quoted size": b'"5"\r\nhello\r\n0\r\n\r\n',
    "space first": b" 5\r\nhello\r\n0\r\n\r\n",
    "space last": b"5 \r\nhello\r\n0\r\n\r\n",
    "tab first": b"\t5\r\nhello\r\n0\r\n\r\n",
    "tab last": b"5\t\r\nhello\r\n0\r\n\r\n",
    "vertical tab": b"5\x0b\r\nhello\r\n0\r\n\r\n",
    "form feed": b"\x0c5\r\nhello\r\n0\r\n\r\n",
    "NUL": b"5\0\r\nhello\r\n0\r\n\r\n",
    "no-break space": b"5\xc2\xa0\r\nhello\r\n0\r\n\r\n",
    "Arabic digit": "٥\r\nhello\r\n0\r\n\r\n".encode(),
    "wide digit": "５\r\nhello\r\n0\r\n\r\n".encode(),
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "size beyond 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "thousands of zeros": b"0" * 3000 + b"5\r\nhello\r\n0\r\n\r\n",
    "one too small": b"4\r\nhello\r\n0\r\n\r\n",
    "one too large": b"6\r\nhello\r\n0\r\n\r\n",
    "LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "CR CR LF after the size": b"5\r\r\nhello\r\n0\r\n\r\n",
    "LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "CR after the data": b"5\r\nhello\r0\r\n\r\n",
    "CR CR after the data": b"5\r\nhello\r\r0\r\n\r\n",
    "LF LF after the data": b"5\r\nhello\n\n0\r\n\r\n",
    "LF CR after the data": b"5\r\nhello\n\r0\r\n\r\n",
    "XX after the data": b"5\r\nhelloXX0\r\n\r\n",
    "nothing after the data": b"5\r\nhello0\r\n\r\n",
    "LF everywhere": b"5\nhello\n0\n\n",
    "LF after the last size": b"5\r\nhello\r\n0\n\r\n",
    "LF for the last line": b"5\r\nhello\r\n0\r\n\n",
    "CR for the last line": b"5\r\nhello\r\n0\r\n\rX",
    "XX for the last line": b"5\r\nhello\r\n0\r\nXX",
    "last size 00x0": b"5\r\nhello\r\n00x0\r\n\r\n",
    "last size -0": b"5\r\nhello\r\n-0\r\n\r\n",
    "last size with a space": b"5\r\nhello\r\n0 \r\n\r\n",
    "extension with a space before": b"5 ;a=b\r\nhello\r\n0\r\n\r\n",
    "extension with a space within": b"5;a b\r\nhello\r\n0\r\n\r\n",
    "extension with LF": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "extension with CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "extension with NUL": b"5;a\0b\r\nhello\r\n0\r\n\r\n",
    "extension with DEL": b"5;a\x7fb\r\nhello\r\n0\r\n\r\n",
    "extension with 8 bits": b"5;a\x80\r\nhello\r\n0\r\n\r\n",
    "extension without a name": b"5;\r\nhello\r\n0\r\n\r\n",
    "extension that quotes LF": b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
    "extension that quotes CR": b'5;a="\r"\r\nhello\r\n0\r\n\r\n',
    "extension that quotes CRLF": b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
    "extension that quotes NUL": b'5;a="\0"\r\nhello\r\n0\r\n\r\n',
    "extension that quotes no end": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "extension without end": b"5;a=" + b"b" * 3000 + b"\r\nhello\r\n0\r\n\r\n",
    "terminator with an extension of LF": b"5\r\nhello\r\n0;\nGET /x\r\n\r\n",
    "terminator with an empty extension": b"5\r\nhello\r\n0;\r\n\r\n",
    "trailer": b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    "trailer of a length": b"5\r\nhello\r\n0\r\nContent-Length: 35\r\n\r\n",
    "trailer of a coding": b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer of an id": b"5\r\nhello\r\n0\r\nsessionid: a\r\n\r\n",
    "trailer that is a request": b"5\r\nhello\r\n0\r\n" + HIDDEN,
    "trailers without end": b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 2000 + b"\r\n",
    "a request for a size": HIDDEN + b"0\r\n\r\n",
}

MALFORMED: Final[dict[str, bytes]] = {
    **{f"hiding, {how}": raw for how, raw in HIDING.items()},
    **{
        f"request line, {how}": line + b"\r\nHost: here" + END
        for how, line in _REQUEST_LINES.items()
    },
    **{f"header, {how}": GET + b"\r\n" + header + END for how, header in _HEADERS.items()},
    "header, no host": b"GET /livez HTTP/1.1" + END,
    "header, two hosts in HTTP/1.0": b"GET /livez HTTP/1.0\r\nHost: here\r\nHost: there" + END,
    "header, a space before the first": b"GET /livez HTTP/1.1\r\n A: b\r\nHost: here" + END,
    **{f"length, {how}": _of_length(header) for how, header in _LENGTHS.items()},
    **{
        f"coding, {how}": POST + b"\r\nTransfer-Encoding: " + coding + END + WHOLE
        for how, coding in _CODINGS.items()
    },
    "coding, in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + WHOLE,
    "coding, in HTTP/1.0 kept alive": CHUNKED.replace(
        b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n"
    )
    + WHOLE,
    **{f"chunk, {how}": CHUNKED + body for how, body in _CHUNKS.items()},
}
