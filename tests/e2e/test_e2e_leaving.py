"""Clients that leave: at every byte of their request, at every stage of the answer, by the hundred."""

import asyncio
import json
import random

import pytest
from chat_client import CHAT, Connect, RawClient, ask, request_bytes
from gateway_process import INPUT, OUTPUT, GatewayProcess, Licence, eventually
from hostile import Hostile, Seen
from hostile_behaviours import ANSWER
from in_time import Try, tries

AT_ONCE = 1.0
"""Seconds within which the upstream is hung up on."""


async def arrived(hostile: Hostile, licence: Licence) -> Seen:
    """The licence's one request, once the upstream has it."""
    seen = await asyncio.to_thread(eventually, lambda: hostile.seen(licence.marker), "the upstream is asked")
    assert len(seen) == 1
    found: Seen = seen[0]
    return found


async def leaves(client: RawClient, seen: Seen, attempt: Try, *, reset: bool = False) -> None:
    """Returns when the upstream has been hung up on."""
    with attempt.timing():
        await client.leave(reset=reset)
        assert await asyncio.to_thread(seen.gone.wait, 25)


async def test_a_request_that_is_cut_at_any_byte_costs_nothing(
    gateway: GatewayProcess, licence: Licence, hostile: Hostile, connect: Connect
) -> None:
    """However much of it arrived, a request that is not whole is nobody's."""
    request = request_bytes(licence, ask("plain", licence))
    slots = asyncio.Semaphore(32)

    async def cut(length: int) -> None:
        async with slots:
            client = await connect(gateway)
            await client.send(request[:length])
            if length % 3:
                client.writer.write_eof()
                answer = await client.rest()
                assert b" 200 " not in answer.split(b"\r\n")[0], answer
            await client.leave(reset=length % 3 == 0)

    await asyncio.gather(*map(cut, range(len(request))))
    client = await connect(gateway)
    await client.send(request)
    assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 200 ")
    await client.leave()
    books = gateway.settled(licence)
    assert books.licence["used"] == 25 * INPUT + 8 * OUTPUT
    assert len(hostile.seen(licence.marker)) == 1


async def test_who_leaves_before_the_provider_can_be_reached_is_charged_nothing(
    gateway: GatewayProcess, licence: Licence, connect: Connect
) -> None:
    client = await connect(gateway)
    body = ask("silent/model", licence)
    await client.send(request_bytes(licence, body, CHAT, "x-quantized-provider: silent"))
    await asyncio.to_thread(eventually, lambda: gateway.books(licence).open_holds, "the hold is taken")
    await client.leave()
    books = await asyncio.to_thread(gateway.settled, licence)
    assert books.usage == [] and books.licence["used"] == 0


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    ("model", "streams"),
    [
        ("hangs", False),
        ("hangs", True),
        ("head-then-hangs", True),
        ("half-then-hangs", False),
        ("only-comments", True),
    ],
)
async def test_a_client_that_leaves_before_the_answer_stops_the_upstream(
    gateway: GatewayProcess,
    hostile: Hostile,
    model: str,
    streams: bool,
    reset: bool,
    connect: Connect,
) -> None:
    for attempt in tries(AT_ONCE):
        licence = gateway.licence()
        client = await connect(gateway)
        await client.send(request_bytes(licence, ask(model, licence, stream=streams)))
        await leaves(client, await arrived(hostile, licence), attempt, reset=reset)
        # The provider was at work: the input is charged as we estimate it, and marked.
        [usage] = gateway.settled(licence).usage
        assert (usage["outcome"], usage["estimated"], usage["output"]) == ("client_left", 1, 0)
        assert 0 < usage["charged"] == usage["input"] * INPUT
        [line] = gateway.lines_of(licence)
        assert (line["status"], line["outcome"]) == (499, "client_left")


async def test_a_client_that_leaves_between_two_tries_pays_nothing(
    gateway: GatewayProcess, licence: Licence, hostile: Hostile, connect: Connect
) -> None:
    """The provider has refused, and nobody is at work."""

    def tries() -> int:
        return sum(line["message"] == "trying again" for line in gateway.log())

    before = tries()
    client = await connect(gateway)
    await client.send(request_bytes(licence, ask("status-429-soon", licence)))
    await arrived(hostile, licence)
    await asyncio.to_thread(eventually, lambda: tries() > before, "it is tried again later")
    await client.leave()
    books = await asyncio.to_thread(gateway.settled, licence)
    assert books.usage == []
    assert books.licence["used"] == 0
    assert len(hostile.seen(licence.marker)) == 1


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    ("until", "words"),
    [
        (b"HTTP/1.1 200 OK\r\n", 0),
        (b"\r\n\r\n", 0),
        (b'"role"', 0),
        (b"capital", 2),
        (b"Paris", 6),
    ],
    ids=["in-the-head", "after-the-head", "in-the-first-frame", "in-a-frame", "near-the-end"],
)
async def test_a_client_that_leaves_a_stream_pays_for_what_it_was_sent(
    gateway: GatewayProcess,
    hostile: Hostile,
    until: bytes,
    words: int,
    reset: bool,
    connect: Connect,
) -> None:
    least = -(-len(" ".join(ANSWER.split()[:words])) // 4)
    for attempt in tries(AT_ONCE):
        licence = gateway.licence()
        client = await connect(gateway)
        await client.send(request_bytes(licence, ask("speaks-then-hangs", licence, stream=True)))
        await client.until(until)
        await leaves(client, await arrived(hostile, licence), attempt, reset=reset)
        [usage] = gateway.settled(licence).usage
        assert (usage["outcome"], usage["estimated"]) == ("client_left", 1)
        assert least <= usage["output"] <= -(-len(ANSWER) // 4)
        assert usage["charged"] == usage["input"] * INPUT + usage["output"] * OUTPUT > 0


async def test_a_client_that_leaves_before_the_end_mark_pays_what_the_provider_reported(
    gateway: GatewayProcess, hostile: Hostile, connect: Connect
) -> None:
    """All is said but `[DONE]`: the usage is known, and nothing has to be estimated."""
    for attempt in tries(AT_ONCE):
        licence = gateway.licence()
        client = await connect(gateway)
        await client.send(request_bytes(licence, ask("finishes-then-hangs", licence, stream=True)))
        await client.until(b'"."')
        seen = await arrived(hostile, licence)
        await asyncio.to_thread(eventually, lambda seen=seen: seen.written > 2_000)
        # Once the gateway has answered this, it has read what had arrived before.
        other = await connect(gateway)
        await other.send(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n")
        await other.until(b"ok")
        await leaves(client, seen, attempt)
        [usage] = gateway.settled(licence).usage
        assert (usage["outcome"], usage["estimated"]) == ("client_left", 0)
        assert usage["charged"] == 25 * INPUT + 8 * OUTPUT


@pytest.mark.parametrize("streams", [False, True])
async def test_a_client_that_leaves_a_whole_answer_unread_has_paid_for_it(
    gateway: GatewayProcess, licence: Licence, streams: bool, connect: Connect
) -> None:
    client = await connect(gateway)
    await client.send(request_bytes(licence, ask("plain", licence, stream=streams)))
    await client.until(b"\r\n\r\n")
    await client.leave(reset=True)
    assert gateway.settled(licence).licence["used"] > 0


async def test_hundreds_that_leave_at_any_moment_leave_no_hold(
    gateway: GatewayProcess, hostile: Hostile, connect: Connect
) -> None:
    """A storm of clients, each gone after a moment of its own."""
    licence = gateway.licence("100")
    moments = random.Random(20)
    models = ["plain", "speaks-then-hangs", "hangs", "ticks", "drips", "usage-missing"]

    async def visit(number: int) -> None:
        stay = moments.uniform(0, 0.15)
        client = await connect(gateway)
        body = ask(models[number % len(models)], licence, stream=number % 4 != 0)
        await client.send(request_bytes(licence, body))
        try:
            async with asyncio.timeout(stay):
                await client.rest()
        except (TimeoutError, ConnectionError):
            pass
        await client.leave(reset=number % 2 == 0)

    for wave in range(4):
        await asyncio.gather(*(visit(wave * 75 + number) for number in range(75)))

    def quiet() -> bool:
        return gateway.books(licence).open_holds == 0 and all(
            seen.ended.is_set() for seen in hostile.seen(licence.marker)
        )

    await asyncio.to_thread(eventually, quiet, "every hold ended and every upstream stopped")
    books = gateway.books(licence)
    books.audit()
    # Whoever left was still charged, once, where the upstream had been at work.
    assert 0 < len(books.usage) <= len(books.holds) <= 300
    assert all(usage["charged"] > 0 for usage in books.usage)


async def test_a_second_request_on_a_kept_connection_is_served_after_the_first(
    gateway: GatewayProcess, licence: Licence, connect: Connect
) -> None:
    client = await connect(gateway)
    request = request_bytes(licence, ask("plain", licence))
    await client.send(request + request)
    for _ in range(2):
        head = await client.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert json.loads(await client.reader.readexactly(length))["object"] == "chat.completion"
    await client.leave()
    gateway.settled(licence, 2)
