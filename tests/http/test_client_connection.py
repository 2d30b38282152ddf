"""The server's side of HTTP/1.1, from raw sockets: framing, order, bounds, and clients that misbehave."""

import asyncio
from contextlib import suppress

import pytest
from served import BODY_BYTES, Served, eventually, request

from quantized.gateway.account import CLIENT_LEFT
from quantized.http.connection import Bounds
from quantized.http.direct import DirectExchange, Watch

HEAD = "POST /echo HTTP/1.1\r\nhost: here\r\n"
CHUNKED = "transfer-encoding: chunked\r\n"


async def test_a_connection_serves_one_request_after_the_other(served: Served) -> None:
    client = await served.connect()
    for body in (b"first", b"", b"x" * 300_000):
        await client.send(request("/echo", body))
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, body)
        assert "connection" not in answer.headers


async def test_requests_that_come_together_are_answered_in_order(served: Served) -> None:
    client = await served.connect()
    await client.send(
        request("/slow", b"one")
        + request("/asgi?x=1", b"two")
        + request("/echo", b"three")
        + request("/echo")
    )
    await served.begun.wait()
    served.go.set()
    assert (await client.answer()).body == b"one"
    assert (await client.answer()).json["body"] == "two"
    assert (await client.answer()).body == b"three"
    assert (await client.answer()).body == b""


async def test_it_does_not_matter_how_the_bytes_come(served: Served) -> None:
    chunked = f"{HEAD}transfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n there\r\n0\r\nx-t: 1\r\n\r\n"
    whole = chunked.encode() + request("/pieces", b"body") + request("/echo", b"last")
    client = await served.connect()
    await client.send(*(whole[at : at + 1] for at in range(len(whole))))
    assert (await client.answer()).body == b"hello there"
    told = await client.answer()
    assert told.headers["transfer-encoding"] == "chunked"
    assert told.json["body"] == "body"
    assert (await client.answer()).body == b"last"


async def test_what_an_application_is_told(served: Served) -> None:
    client = await served.connect()
    await client.send(request("/a%20b/c?q=%20", b"", "X-Name: value", method="PUT"))
    answer = await client.answer()
    assert answer.headers["x-kind"] == "asgi"
    assert answer.json == {
        "method": "PUT",
        "path": "/a b/c",
        "query": "q=%20",
        "headers": [["host", "here"], ["content-length", "0"], ["x-name", "value"]],
        "body": "",
    }
    await client.send(request("http://here/echo", b"absolute") + request("/%65cho?x", b"encoded"))
    assert [(await client.answer()).body for _ in range(2)] == [b"absolute", b"encoded"]
    await client.send(request("/echo", method="GET"))
    assert (await client.answer()).json["path"] == "/echo"


async def test_head_is_answered_without_a_body(served: Served) -> None:
    client = await served.connect()
    for path in ("/asgi", "/pieces"):
        await client.send(request(path, method="HEAD"))
        answer = await client.answer(bodyless=True)
        assert answer.status == 200
    await client.send(request("/echo", b"next"))
    assert (await client.answer()).body == b"next"


@pytest.mark.parametrize(
    "ending", [("connection: close", "1.1"), ("x: y", "1.0"), ("connection: keep-alive", "1.0")]
)
@pytest.mark.parametrize("path", ["/echo", "/asgi", "/pieces"])
async def test_a_last_request_is_the_last(served: Served, ending: tuple[str, str], path: str) -> None:
    header, version = ending
    client = await served.connect()
    await client.send(request(path, b"x", header, version=version) + request("/echo", b"never"))
    answer = await client.answer()
    assert answer.status == 200
    assert answer.headers["connection"] == "close"
    assert b"never" not in answer.body + await client.rest()


async def test_an_old_client_gets_events_without_chunks(served: Served) -> None:
    async def script(exchange: DirectExchange) -> None:
        assert exchange.push(b"one,") is None

    served.script = script
    client = await served.connect()
    await client.send(request("/events", version="1.0"))
    answer = await client.answer()
    assert "transfer-encoding" not in answer.headers
    assert answer.body == b"one,last"


@pytest.mark.parametrize("upgrade", ["websocket", "h2c, websocket", "TLS/1.0"])
async def test_an_upgrade_is_not_taken_up(served: Served, upgrade: str) -> None:
    asked = ("connection: upgrade", f"upgrade: {upgrade}")
    client = await served.connect()
    await client.send(request("/asgi", b"", *asked, method="GET") + request("/echo", b"smuggled"))
    answer = await client.answer()
    assert (answer.status, answer.json["path"], answer.headers["connection"]) == (200, "/asgi", "close")
    assert await client.rest() == b""
    client = await served.connect()
    await client.send(request("/echo", b"body", *asked))
    answer = await client.answer()
    assert (answer.status, answer.json["error"]["code"]) == (400, "upgrade_with_body")
    assert await client.rest() == b""


H2C = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAEAAEAAAAIAAAAB")


async def test_an_offer_of_http_2_is_ignored(served: Served) -> None:
    """As RFC 9110 allows (7.8): the request is one like any other, and so are those behind it."""
    client = await served.connect()
    chunked = "\r\n".join(
        [f"{HEAD}transfer-encoding: chunked", *H2C, "", "2\r\nch\r\n4\r\nunks\r\n0\r\n\r\n"]
    )
    whole = (
        request("/echo", b"body", *H2C)
        + request("/asgi", b"", *H2C, method="GET")
        + request("/echo", b"between")
        + chunked.encode()
        + request("/echo", b"x" * 30, *(line.upper() for line in H2C))
        + request("/echo", b"last", *H2C, "connection: close")
    )
    never = request("/echo", b"never")
    answers = [b"body", None, b"between", b"chunks", b"x" * 30, b"last"]
    for size in (len(whole + never), 1, 2, 7, 100, 137):
        client = await served.connect()
        sent = whole + never if size > len(whole) else whole
        await client.send(*(sent[at : at + size] for at in range(0, len(sent), size)))
        for expected in answers:
            answer = await client.answer()
            assert answer.status == 200
            if expected is None:
                assert answer.json["headers"] == [
                    ["host", "here"],
                    ["content-length", "0"],
                    ["connection", "Upgrade, HTTP2-Settings"],
                    ["http2-settings", "AAEAAEAAAAIAAAAB"],
                ]
            else:
                assert answer.body == expected
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""


async def test_wherever_an_offer_of_http_2_is_cut(served: Served) -> None:
    whole = request("/echo", b"body", *H2C) + request("/echo", b"next")
    for at in range(1, len(whole)):
        client = await served.connect()
        await client.send(whole[:at], whole[at:])
        assert [(await client.answer()).body for _ in range(2)] == [b"body", b"next"]
        await client.leave()


@pytest.mark.parametrize(
    "rest",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT here:80 HTTP/1.1\r\n\r\n",
        f"{HEAD}upgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 3\r\n{CHUNKED}\r\n0\r\n\r\n".encode(),
        f"{HEAD}upgrade: h2c\r\nconnection: upgrade\r\ntransfer-encoding: gzip, chunked\r\n\r\n".encode(),
        f"{HEAD}upgrade: h2c\r\nconnection: upgrade\r\nhost: there\r\ncontent-length: 0\r\n\r\n".encode(),
    ],
)
async def test_what_is_malformed_is_so_with_an_offer_of_http_2_as_well(served: Served, rest: bytes) -> None:
    client = await served.connect()
    await client.send(request("/echo", b"before", *H2C) + rest + request("/echo", b"smuggled"))
    assert (await client.answer()).body == b"before"
    answer = await client.answer()
    assert (answer.status, answer.json["error"]["code"]) == (400, "malformed_request")
    assert await client.rest() == b""


async def test_a_head_beyond_its_bound_is_too_large_with_an_offer_of_http_2(served: Served) -> None:
    client = await served.connect()
    await client.send(request("/echo", b"body", *H2C, "x-more: " + "y" * 66_000))
    assert (await client.answer()).status == 431


MALFORMED = {
    "nothing of the kind": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"POST /echo HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    "two hosts": f"{HEAD}host: there\r\ncontent-length: 0\r\n\r\n".encode(),
    "length and chunks": f"{HEAD}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    "chunks and length": f"{HEAD}transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n".encode(),
    "two lengths": f"{HEAD}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd".encode(),
    "two lengths in one": f"{HEAD}content-length: 3, 3\r\n\r\nabc".encode(),
    "a negative length": f"{HEAD}content-length: -1\r\n\r\n".encode(),
    "a length with a sign": f"{HEAD}content-length: +1\r\n\r\nx".encode(),
    "a coding that is none": f"{HEAD}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n".encode(),
    "a coding too many": f"{HEAD}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n".encode(),
    "chunked twice": f"{HEAD}{CHUNKED}{CHUNKED}\r\n0\r\n\r\n".encode(),
    "chunks of an old client": f"POST /echo HTTP/1.0\r\nhost: x\r\n{CHUNKED}\r\n0\r\n\r\n".encode(),
    "a space before the colon": f"{HEAD}content-length : 0\r\n\r\n".encode(),
    "a folded line": f"{HEAD}x-a: b\r\n c\r\ncontent-length: 0\r\n\r\n".encode(),
    "a zero byte": f"{HEAD}x-a: \0\r\n\r\n".encode(),
    "a bare CR": f"{HEAD}x-a: b\rcontent-length: 3\r\n\r\n".encode(),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_request_is_a_400_and_the_end(served: Served, name: str) -> None:
    client = await served.connect()
    await client.send(request("/echo", b"before") + MALFORMED[name] + request("/echo", b"smuggled"))
    assert (await client.answer()).body == b"before"
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert answer.json["error"].keys() == {"message", "type", "code", "param"}
    assert answer.json["error"]["code"] == "malformed_request"
    assert (answer.headers["x-request-id"], served.refusals) == ("req-1", ["malformed_request"])
    assert await client.rest() == b""


async def test_nonsense_behind_requests_is_told_after_their_answers(served: Served) -> None:
    client = await served.connect()
    await client.send(request("/slow", b"one") + request("/echo", b"two") + b"nonsense\r\n\r\n")
    await served.begun.wait()
    served.go.set()
    assert [(await client.answer()).body for _ in range(2)] == [b"one", b"two"]
    assert (await client.answer()).status == 400
    assert await client.rest() == b""


@pytest.mark.parametrize("before", [b"", request("/slow", b"one")])
async def test_a_body_that_breaks_is_a_400_and_nobody_waits_for_it(served: Served, before: bytes) -> None:
    client = await served.connect()
    await client.send(before + f"{HEAD}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".encode())
    await served.begun.wait()
    await client.send(b"nonsense\r\n\r\n")
    served.go.set()
    if before:
        assert (await client.answer()).body == b"one"
    assert (await client.answer()).status == 400
    assert await client.rest() == b""
    await eventually(lambda: not served.state.tasks)
    # Where it had not begun yet there was nobody to cancel.
    assert served.cancelled == [CLIENT_LEFT] or before


@pytest.mark.parametrize(
    "head",
    [
        b"POST /echo HTTP/1.1\r\nhost: x\r\nx-more: " + b"y" * 70_000,
        b"POST /" + b"y" * 70_000,
        b"POST /echo HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 20_000,
        b"POST /echo HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 20_000 + b"content-length: 0\r\n\r\n",
    ],
)
async def test_a_head_beyond_its_bound_is_a_431(served: Served, head: bytes) -> None:
    client = await served.connect()
    client.writer.write(head)
    answer = await client.answer()
    assert (answer.status, answer.json["error"]["code"]) == (431, "head_too_large")


async def test_framing_without_end_is_refused(served: Served) -> None:
    client = await served.connect()
    await client.send(f"{HEAD}transfer-encoding: chunked\r\n\r\n1;".encode())
    client.writer.write(b"x" * 700_000)
    assert (await client.answer()).status == 400


async def test_a_body_is_asked_for_when_it_is_wanted(served: Served) -> None:
    client = await served.connect()
    for path in ("/echo", "/asgi"):
        head, _, body = request(path, b"body", "expect: 100-continue").partition(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        assert (await client.answer()).status == 100
        await client.send(body)
        assert b"body" in (await client.answer()).body


async def test_a_body_that_did_not_wait_needs_no_asking(served: Served) -> None:
    client = await served.connect()
    await client.send(request("/echo", b"at once", "expect: 100-continue") + request("/echo", b"next"))
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, b"at once")
    assert "connection" not in answer.headers
    assert (await client.answer()).body == b"next"


async def test_where_a_body_was_never_asked_for_nothing_follows(served: Served) -> None:
    """It may come or not: what comes next could be it, or another request."""
    client = await served.connect()
    await client.send(request("/deaf", b"", "expect: 100-continue").replace(b"length: 0", b"length: 50"))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (401, "close")
    assert await client.rest() == b""


async def test_a_body_that_nobody_reads_is_dropped_to_get_at_the_next_request(served: Served) -> None:
    client = await served.connect()
    head, _, body = request("/deaf", b"x" * 2_000_000).partition(b"\r\n\r\n")
    await client.send(head + b"\r\n\r\n")
    assert (await client.answer()).status == 401
    await client.send(body, request("/echo", b"next"))
    assert (await client.answer()).body == b"next"


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_beyond_its_bound_is_refused(served: Served, declared: bool) -> None:
    client = await served.connect()
    if declared:
        await client.send(f"{HEAD}content-length: {BODY_BYTES + 1}\r\n\r\n".encode())
    else:
        size = BODY_BYTES // 2 + 1
        chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
        await client.send(f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode(), chunk, chunk)
    answer = await client.answer()
    assert (answer.status, answer.body) == (413, b"body_too_large")


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with Served(watch=Watch(keep_alive=60, stall=60, body=0.05)) as served:
        client = await served.connect()
        await client.send(f"{HEAD}content-length: 5\r\n\r\nhe".encode())
        answer = await client.answer()
        assert (answer.status, answer.body) == (400, b"body_too_slow")
        await client.send(b"llo" + request("/echo", b"next"))
        assert (await client.answer()).body == b"next"


async def test_a_body_that_nobody_reads_yet_is_not_taken_in(served: Served) -> None:
    client = await served.connect()
    # Too large for what the kernel holds between the two.
    body = b"x" * 50_000_000
    await client.send(request("/slow", b"").replace(b"length: 0", b"length: %d" % len(body)))
    sending = asyncio.create_task(client.send(body))
    await served.begun.wait()
    done, _ = await asyncio.wait((sending,), timeout=0.3)
    assert not done
    served.go.set()
    assert (await client.answer()).status == 413
    await sending


@pytest.mark.parametrize("waiting", [b"", request("/echo", b"next")])
async def test_who_leaves_is_worked_for_no_longer(served: Served, waiting: bytes) -> None:
    client = await served.connect()
    await client.send(request("/slow") + waiting)
    await served.begun.wait()
    if waiting:
        # While a second request waits nothing is read; the end is seen where something is written.
        served.go.set()
        await client.leave()
        await eventually(lambda: not served.state.connections)
        return
    await client.leave()
    await eventually(lambda: served.cancelled)
    assert served.cancelled == [CLIENT_LEFT]
    assert not served.state.connections


async def test_an_application_is_told_that_its_client_left(served: Served) -> None:
    client = await served.connect()
    await client.send(request("/waits", b"body"))
    await served.begun.wait()
    await client.leave()
    await eventually(lambda: served.told and served.told[-1]["type"] == "http.disconnect")
    assert served.told[0] == {"type": "http.request", "body": b"body", "more_body": False}


async def test_an_application_that_breaks_is_a_500(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    client = await served.connect()
    await client.send(request("/breaks") + request("/echo", b"next"))
    answer = await client.answer()
    assert (answer.status, answer.json["error"]["type"]) == (500, "server_error")
    assert (await client.answer()).body == b"next"
    assert "a request was not answered" in caplog.text


async def test_a_slow_reader_is_waited_for_and_loses_nothing(served: Served) -> None:
    waits = asyncio.Event()

    async def script(exchange: DirectExchange) -> None:
        for _ in range(400):
            rest = exchange.push(b"x" * 50_000)
            if rest is not None:
                waits.set()
                await rest

    served.script = script
    client = await served.connect()
    await client.send(request("/events"))
    await waits.wait()
    answer = await client.answer()
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["connection"] == "keep-alive"
    assert len(answer.body) == 400 * 50_000 + 4


async def test_who_takes_nothing_is_not_waited_for() -> None:
    async def script(exchange: DirectExchange) -> None:
        while True:
            if (rest := exchange.push(b"x" * 50_000)) is not None:
                await rest

    async with Served(watch=Watch(keep_alive=60, stall=0.2, body=10)) as served:
        served.script = script
        client = await served.connect()
        await client.send(request("/events"))
        await eventually(lambda: served.cancelled)
        assert served.cancelled == [CLIENT_LEFT]


async def test_silence_is_filled_with_comments() -> None:
    async with Served(watch=Watch(keep_alive=0.05, stall=60, body=10)) as served:

        async def script(exchange: DirectExchange) -> None:
            exchange.push(b"first\n\n")
            await served.go.wait()

        served.script = script
        client = await served.connect()
        await client.send(request("/events"))
        async with asyncio.timeout(50):
            await client.reader.readuntil(b"first\n\n")
            for _ in range(2):
                await client.reader.readuntil(b": keep-alive\n\n")
        served.go.set()
        assert (await client.rest_of_answer()) == b"last"


async def test_a_stream_that_cannot_go_on_is_cut(served: Served) -> None:
    async def script(exchange: DirectExchange) -> None:
        exchange.push(b"some")
        exchange.cut()
        assert exchange.push(b"more") is None

    served.script = script
    client = await served.connect()
    await client.send(request("/events"))
    assert (await client.rest()).endswith(b"4\r\nsome\r\n")


async def test_idle_connections_are_closed_and_busy_ones_are_not() -> None:
    async with Served(Bounds(keep_alive=0.5, patience=1.0)) as served:
        busy = await served.connect()
        await busy.send(request("/slow", b"at last"))
        idle = await served.connect()
        await idle.send(request("/echo", b"once"))
        assert (await idle.answer()).body == b"once"
        silent, partial = await served.connect(), await served.connect()
        await partial.send(b"POST /echo HT")
        assert [await client.rest() for client in (idle, silent, partial)] == [b""] * 3
        served.go.set()
        assert (await busy.answer()).body == b"at last"


async def test_an_answer_that_nobody_takes_is_let_go() -> None:
    async with Served(Bounds(keep_alive=0.1, patience=0.1)) as served:
        client = await served.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        # More than the kernel holds between the two.
        with suppress(ConnectionError):  # it may be let go before all is sent
            for _ in range(20):
                await client.send(request("/echo", b"x" * 900_000))
        await eventually(lambda: not served.state.connections)


async def test_a_server_that_stops_lets_answers_end(served: Served) -> None:
    idle, busy = await served.connect(), await served.connect()
    await busy.send(request("/slow", b"answer"))
    await served.begun.wait()
    await eventually(lambda: len(served.state.connections) == 2)
    for connection in tuple(served.state.connections):
        connection.shutdown()
    assert await idle.rest() == b""
    served.go.set()
    answer = await busy.answer()
    assert (answer.body, answer.headers["connection"]) == (b"answer", "close")
    assert await busy.rest() == b""


async def test_a_request_that_was_on_its_way_when_the_server_stopped_is_the_last(served: Served) -> None:
    client = await served.connect()
    await client.send(request("/echo", b"before"))
    assert "connection" not in (await client.answer()).headers
    (connection,) = served.state.connections
    connection.shutdown()
    await client.send(request("/echo", b"on its way"))
    answer = await client.answer()
    assert (answer.body, answer.headers["connection"]) == (b"on its way", "close")
    assert await client.rest() == b""


async def test_of_requests_that_came_together_the_last_says_so(served: Served) -> None:
    client = await served.connect()
    await client.send(request("/slow", b"one") + request("/echo", b"two"))
    await served.begun.wait()
    (connection,) = served.state.connections
    connection.shutdown()
    served.go.set()
    first, second = await client.answer(), await client.answer()
    assert (first.body, second.body) == (b"one", b"two")
    assert "connection" not in first.headers
    assert second.headers["connection"] == "close"
    assert await client.rest() == b""


async def test_in_a_hurry_only_what_has_begun_is_answered(served: Served) -> None:
    client = await served.connect()
    await client.send(request("/slow", b"one") + request("/echo", b"two"))
    await served.begun.wait()
    (connection,) = served.state.connections
    connection.shutdown()
    connection.shutdown()
    served.go.set()
    assert (await client.answer()).body == b"one"
    assert await client.rest() == b""


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"a\rb"])
async def test_a_header_that_would_be_two_is_not_written(served: Served, value: bytes) -> None:
    refused = asyncio.Event()

    async def script(exchange: DirectExchange) -> None:
        raise AssertionError("never begun")

    async def answer(exchange: DirectExchange) -> None:
        with pytest.raises(ValueError, match="line break"):
            exchange.respond(200, b"", [(b"x-a", value)])
        refused.set()
        exchange.cut()

    served.script = script
    served.direct["/splits"] = answer
    client = await served.connect()
    await client.send(request("/splits"))
    assert await client.rest() == b""
    assert refused.is_set()
