"""What becomes of an answer when we stop, and when its caller leaves: both cancel whoever works for it."""

import asyncio

import msgspec
import pytest

from quantized.catalog.catalog import Catalog
from quantized.clock import SystemClock
from quantized.core.ports import Caller, Charge, Hold, HoldOrder, Receipt, Terms
from quantized.gateway.account import CLIENT_LEFT
from quantized.gateway.generate import Gateway, Generation
from quantized.gateway.journal import Journal
from quantized.gateway.retry import RetryPolicy
from quantized.providers.demo import demo_provider
from quantized.providers.demo_model import DEMO_MODEL
from quantized.providers.demo_upstream import DemoUpstream
from quantized.providers.registry import Registered, Registry
from quantized.surfaces.chat.dialogue import ChatDialogue
from quantized.surfaces.chat.surface import ChatSurface
from quantized.upstream.call import Patience

CALLER = Caller("institution", "type", "license", "key", Terms("terms"))


class Books:
    """A ledger that takes a charge when it is let."""

    def __init__(self) -> None:
        self.charges: list[Charge] = []
        self.released: list[str] = []
        self.said = asyncio.Event()
        self.open = asyncio.Event()

    async def hold(self, order: HoldOrder) -> Hold:
        return Hold(order.id, order.license_id, order.wanted)

    def settle(self, charge: Charge) -> asyncio.Future[Receipt]:
        self.charges.append(charge)
        self.said.set()
        return asyncio.ensure_future(self._written())

    async def release(self, hold_id: str, reason: str) -> None:
        self.released.append(reason)

    async def _written(self) -> Receipt:
        await self.open.wait()
        return Receipt(7, 0, 93)


def generation(books: Books, *, stream: bool) -> Generation:
    clock = SystemClock()
    catalog = Catalog()
    catalog.replace(DEMO_MODEL.provider, [DEMO_MODEL])
    registry = Registry([Registered(demo_provider(), DemoUpstream(clock))], "demo")
    gateway = Gateway(
        registry, catalog, books, clock, Patience(5, 5, 5, 20), RetryPolicy(0, 0), 1_000_000, None
    )
    body = {"model": DEMO_MODEL.id, "messages": [{"role": "user", "content": "Say much."}], "stream": stream}
    request = ChatSurface().parse(msgspec.json.encode(body))
    journal = Journal("req-1", clock.now_ms(), "chat")
    return Generation(gateway, CALLER, ChatDialogue(request), None, journal)


async def answered(books: Books, *, stream: bool) -> bytes:
    told = generation(books, stream=stream)
    if not stream:
        return await told.answer()
    frames: list[bytes] = []
    frames.append(await (await told.start()).pump(frames.append))
    return b"".join(frames)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_whose_charge_is_being_written_is_told(stream: bool) -> None:
    books = Books()
    task = asyncio.create_task(answered(books, stream=stream))
    await books.said.wait()
    task.cancel()
    await asyncio.sleep(0)
    books.open.set()
    body = await task
    assert b'"credits_used":7' in body
    assert body.endswith(b"[DONE]\n\n") == stream
    assert {(charge.hold_id, charge.outcome) for charge in books.charges} == {("hold-1", "completed")}


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_leaves_is_waited_for_by_nobody(stream: bool) -> None:
    books = Books()
    task = asyncio.create_task(answered(books, stream=stream))
    await books.said.wait()
    task.cancel(CLIENT_LEFT)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [charge.outcome for charge in books.charges] == ["completed"]


async def test_a_stream_that_a_stop_cuts_says_so_and_what_it_cost() -> None:
    books = Books()
    books.open.set()
    frames: list[bytes] = []

    async def streamed() -> bytes:
        stream = await generation(books, stream=True).start()
        return await stream.pump(told)

    def told(piece: bytes) -> None:
        frames.append(piece)
        if len(frames) == 5:
            task.cancel()

    task = asyncio.create_task(streamed())
    end = await task
    assert b'"service_unavailable"' in end
    assert b'"credits_used":7' in end
    assert [charge.outcome for charge in books.charges] == ["cut"]
    assert books.charges[0].estimated
    assert books.released == []
