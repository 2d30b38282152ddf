"""A database with licences, turns to say in it, and the ledger and the store that it takes."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec import Raw
from plain_sql import plainly

from quantized.conversations.conversations import Conversations
from quantized.conversations.rules import Limits
from quantized.conversations.sweeper import RetentionSweeper
from quantized.core.parts import Reasoning, Seal, Text, ToolCall
from quantized.core.ports import Charge, HoldOrder, Receipt
from quantized.core.request import Message
from quantized.core.turns import MadeCall, Needs, StoredItem, StoredTurn, Turn, fingerprint
from quantized.core.usage import Usage
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.stores import ledger_store, turn_store

NOW = 1_700_000_000_000
USAGE = Usage(input=1, cached_read=2, output=3, reasoning=4, web_searches=5)
LONGEST_REQUEST = 1_800.0
GRACE = 1_860_000
"""Milliseconds that an expired response is left for the requests that still continue it."""
LIMITS = Limits(turns=200, bytes=1_000_000)
_numbers = itertools.count(1)


class SetClock:
    """Stands still until it is set."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1000


def add_license(url: str, license_id: str) -> None:
    with plainly(url) as sql:
        sql("INSERT INTO institution VALUES ('i', 'i', 'I', 0) ON CONFLICT DO NOTHING")
        sql(
            "INSERT INTO license_type (id, institution_id, alias, name, created_at, updated_at)"
            " VALUES ('t', 'i', 't', 'T', 0, 0) ON CONFLICT DO NOTHING"
        )
        sql(
            "INSERT INTO license (id, license_type_id, unique_id, name, unlimited, created_at)"
            " VALUES (?, 't', ?, 'L', true, 0)",
            license_id,
            license_id,
        )


def response_of(item_id: str) -> str | None:
    prefix, _, rest = item_id.partition("-")
    return f"resp-{rest.partition('-')[0]}" if prefix in ("in", "msg") else None


def said(name: str) -> tuple[Message, ...]:
    """The conversation of one turn."""
    return (Message("user", (Text(f"ask {name}"),)), Message("assistant", (Text(f"tell {name}"),)))


def called(call_id: str, arguments: str = '{"in": "Paris", "for": [1]}') -> ToolCall:
    return ToolCall(call_id, "look", arguments)


def thoughts_of(name: str) -> tuple[Reasoning, ...]:
    return (Reasoning(f"thought {name}", (Seal("demo", "signature", b'{"sig": "\xc3\xa9"}'),)),)


def turn(
    name: str,
    previous: str | None = None,
    *,
    call_id: str | None = None,
    size: int = 0,
    thoughts: tuple[Reasoning, ...] | None = None,
) -> Turn:
    """`resp-NAME`, which continues `resp-PREVIOUS`; with a tool call where that has an id, after reasoning of
    its own if not after other `thoughts`."""
    asked, told = said(name)
    thoughts = thoughts_of(name) if thoughts is None else thoughts
    if call_id is not None:
        told = Message("assistant", (*thoughts, called(call_id)))
    return Turn(
        id=f"resp-{name}",
        previous=None if previous is None else f"resp-{previous}",
        status="completed",
        body=Raw(b'{"model": "quantized/demo",  "spaces":"kept"}'),
        input=(StoredItem(f"in-{name}-0", Raw(b'{"text":"' + b"x" * size + b'"}'), (asked,)),),
        output=(StoredItem(f"msg-{name}-0", Raw(b'{"n" : 1.50}'), (told,), call_id),),
        messages=(asked, told),
        thoughts=() if call_id is None else thoughts,
        calls={} if call_id is None else {call_id: MadeCall(fingerprint(called(call_id)), len(thoughts))},
    )


class World:
    """One process's ledger and store on a database."""

    def __init__(self, url: str, limits: Limits, patience: float) -> None:
        self.clock = SetClock()
        self.ledger = GroupCommitLedger(ledger_store(url, busy_seconds=0.2), self.clock, patience=20)
        self.turns = turn_store(url, patience=patience)
        self.store = Conversations(self.turns, self.clock, limits, response_of)
        self.sweeper = RetentionSweeper(self.turns, self.clock, LONGEST_REQUEST)

    async def hold(
        self, stored: Turn | None, license_id: str = "mine", *, expires_at: int | None = None
    ) -> Charge:
        """Holds, and gives the charge that would store the turn."""
        number = next(_numbers)
        hold_id = f"hold-{number}" if stored is None else f"hold-{stored.id}"
        await self.ledger.hold(
            HoldOrder(hold_id, license_id, 10, 1, NOW, NOW + 60_000, f"req-{number}", "key-1", "demo", "m")
        )
        return Charge(
            hold_id=hold_id,
            request_id=f"req-{number}",
            license_id=license_id,
            key_id="key-1",
            user_id=None,
            surface="responses",
            provider="demo",
            model="m",
            upstream_id=None,
            usage=USAGE,
            price=7,
            estimated=False,
            provider_cost=None,
            outcome="completed",
            started_at=NOW,
            first_byte_ms=None,
            duration_ms=12,
            turn=None if stored is None else StoredTurn(stored, expires_at),
        )

    async def say(
        self, stored: Turn | None, license_id: str = "mine", *, expires_at: int | None = None
    ) -> Receipt:
        return await self.ledger.settle(await self.hold(stored, license_id, expires_at=expires_at))

    async def history(self, name: str, license_id: str = "mine") -> tuple[Message, ...]:
        return (await self.store.find(license_id, Needs(previous=f"resp-{name}"))).history

    async def close(self) -> None:
        await self.ledger.close()
        self.turns.close()


@asynccontextmanager
async def world_on(url: str, limits: Limits = LIMITS, *, patience: float = 20) -> AsyncIterator[World]:
    world = World(url, limits, patience)
    try:
        yield world
    finally:
        await world.close()


async def until(condition: Callable[[], bool]) -> None:
    """Looks again and again; the test's own timeout is the limit."""
    while not condition():  # noqa: ASYNC110  what is waited for is in the database
        await asyncio.sleep(0.005)
