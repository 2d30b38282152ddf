"""Waiting: for an upstream, each kind of wait with its own end, and for a client that does not read."""

import asyncio
import time
from math import inf

import httpx
from chat_client import CHAT, Connect, ask, post, request_bytes, told
from gateway_process import GatewayProcess, Licence, eventually
from hostile import Hostile
from hostile_behaviours import ANSWER

MIB = 1024 * 1024


WAITS = {
    "silent/model": ("connect: no connection within 1 s", 1.0),
    "hangs": ("first_byte: no response within 2 s", 2.0),
    "only-comments": ("first_byte: nothing but comments in time", 2.0),
    "speaks-then-hangs": ("body: no progress for 2.2 s", 2.2),
    "ticks": ("body: not done after 6 s", 6.0),
}
"""Models, what ends the wait for them, and the least of seconds it lasts."""


async def test_each_wait_has_its_own_end(
    hasty: GatewayProcess, hasty_client: httpx.AsyncClient, hasty_licence: Licence
) -> None:
    """All at once: what each of them is told of is its own. Unstreamed, comments are a body like any other:
    only the total time ends them."""

    async def waited(model: str, streams: bool) -> None:
        cause, least = WAITS[model]
        if model == "only-comments" and not streams:
            cause, least = WAITS["ticks"]
        forced = {"x-quantized-provider": "silent"} if model == "silent/model" else {}
        began = time.monotonic()
        body = ask(model, hasty_licence, stream=streams)
        answer = await post(hasty_client, hasty_licence, body, forced)
        took = time.monotonic() - began
        line = await asyncio.to_thread(hasty.line, answer.headers["x-request-id"])
        assert (model, line["cause"]) == (model, cause)
        assert took >= least, model

    cases = [(model, streams) for model in WAITS for streams in (False, True)]
    await asyncio.gather(*(waited(*case) for case in cases))
    hasty.settled(hasty_licence, len(cases))


async def test_the_wait_for_the_first_byte_is_one_wait(
    hasty_client: httpx.AsyncClient, hasty_licence: Licence
) -> None:
    """A head is no answer: who takes long for it has the less time left for a beginning. Two waits would be
    2.4 seconds at least; other work on the machine may make one longer, so that the shortest counts."""
    shortest = inf
    for _ in range(5):
        began = time.monotonic()
        body = ask("late-head-then-comments", hasty_licence, stream=True)
        answer = await post(hasty_client, hasty_licence, body)
        shortest = min(shortest, time.monotonic() - began)
        assert answer.status_code == 503
        assert shortest >= 2.0
        if shortest < 2.35:
            return
    raise AssertionError(f"{shortest} s")


async def test_a_body_that_does_not_arrive_is_not_waited_for(
    hasty: GatewayProcess, hasty_licence: Licence, connect: Connect
) -> None:
    client = await connect(hasty)
    whole = request_bytes(hasty_licence, ask("plain", hasty_licence))
    await client.send(whole[:-5])
    answer = await client.until(b"}}")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"The request body did not arrive within 3 seconds" in answer


async def test_silence_is_filled_with_comments(
    hasty_client: httpx.AsyncClient, hasty_licence: Licence, hostile: Hostile
) -> None:
    """A comment is due each tenth of a second."""
    body, read = ask("pauses-until-told", hasty_licence, stream=True), b""
    began = time.monotonic()
    async with hasty_client.stream("POST", CHAT, json=body, headers=hasty_licence.headers) as answer:
        async for data in answer.aiter_bytes():
            read += data
            if read.count(b": keep-alive\n\n") >= 2:
                hostile.go_on(hasty_licence.marker)
    took = time.monotonic() - began
    stream = told(read)
    assert stream.done
    assert stream.text == ANSWER
    assert 2 <= len(stream.comments) <= took / 0.1
    assert set(stream.comments) == {": keep-alive"}


async def test_comments_of_the_provider_are_not_passed_on(
    client: httpx.AsyncClient, licence: Licence
) -> None:
    answer = await post(client, licence, ask("waits-then-answers", licence, stream=True))
    assert told(answer.content).comments == []


async def test_frames_leave_as_they_come(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence
) -> None:
    """What the provider has said is with the client while the provider is still speaking."""
    body = ask("speaks-then-hangs", licence, stream=True)
    async with client.stream("POST", CHAT, json=body, headers=licence.headers) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-accel-buffering"] == "no"
        read = b""
        async with asyncio.timeout(50):
            async for data in answer.aiter_bytes():
                read += data
                if b'"."' in read:
                    break
    [usage] = gateway.settled(licence).usage
    assert usage["outcome"] == "client_left"


async def test_a_client_that_does_not_read_grows_nothing_and_is_left_in_time(
    hasty: GatewayProcess, hasty_licence: Licence, hostile: Hostile, connect: Connect
) -> None:
    """The stream is endless and fast: what the client does not take, the upstream cannot send."""
    before = hasty.memory
    clients = [await connect(hasty, receive_buffer=4_096) for _ in range(4)]
    for client in clients:
        client.writer.transport.pause_reading()
        await client.send(request_bytes(hasty_licence, ask("endless", hasty_licence, stream=True)))

    def left() -> bool:
        seen = hostile.seen(hasty_licence.marker)
        return len(seen) == 4 and all(one.gone.is_set() for one in seen)

    await asyncio.to_thread(eventually, left, "every upstream is stopped")
    for seen in hostile.seen(hasty_licence.marker):
        assert seen.written < 16 * MIB
    assert hasty.memory - before < 32 * MIB
    books = hasty.settled(hasty_licence, 4)
    # Not cut by the total time, then.
    assert [usage["outcome"] for usage in books.usage] == ["client_left"] * 4
    # Delivered or not, it was produced for them.
    assert all(usage["charged"] > 0 for usage in books.usage)


async def test_a_client_that_reads_slowly_gets_everything(
    gateway: GatewayProcess, licence: Licence, connect: Connect
) -> None:
    """Eight MiB in one body, through a small window."""
    client = await connect(gateway, receive_buffer=16_384)
    await client.send(request_bytes(licence, ask("huge", licence)))
    head = await client.until(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert length > 8 * MIB
    left = length
    async with asyncio.timeout(50):
        while left:
            left -= len(await client.reader.read(65_536))
    gateway.settled(licence)


async def test_an_answer_beyond_the_limit_is_a_503(
    hasty: GatewayProcess, hasty_client: httpx.AsyncClient, hasty_licence: Licence
) -> None:
    answer = await post(hasty_client, hasty_licence, ask("huge", hasty_licence))
    assert answer.status_code == 503
    line = hasty.line(answer.headers["x-request-id"])
    assert "longer than 1048576 bytes" in line["cause"]
