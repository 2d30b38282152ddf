"""Clients that ask both gateways, take what comes, ask the other one when one is gone, and note it all."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from chat_client import CHAT, told

from chaos.upstream import MODEL

_REFUSALS = frozenset({402, 429, 503})
_FAILURES = frozenset({502})
"""What the upstream does is told to the client so."""


@dataclass(frozen=True)
class Customer:
    license_id: str
    key_id: str
    key: str


@dataclass
class Attempt:
    """One request of one client; times in Unix seconds. `used` and `remaining` only where the answer is
    whole. `ended` is how it looked from the client: answered, refused, failed, cut, left or unreachable."""

    name: str
    customer: Customer
    streams: bool
    sent: float
    ended: str = "cut"
    status: int | None = None
    request_id: str | None = None
    content: bool = False
    used: int | None = None
    remaining: int | None = None


class Strange(Exception):
    """An answer that nobody should ever get."""


class Crowd:
    def __init__(
        self, seed: str, customers: Sequence[Customer], addresses: Callable[[], list[str]], asks: int
    ) -> None:
        """`addresses` are the gateways' now; each customer asks `asks` times."""
        self._seed = seed
        self._customers = customers
        self._addresses = addresses
        self._asks = asks
        self.attempts: list[Attempt] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as clients:
            for number, customer in enumerate(self._customers):
                clients.create_task(self._client(number, customer))

    async def _client(self, number: int, customer: Customer) -> None:
        chance = random.Random(f"{self._seed}:{number}")
        names = (f"ask-{self._seed}-{number}-{ask}".replace(":", "-") for ask in itertools.count(1))
        async with httpx.AsyncClient(timeout=20, verify=False) as http:
            for _ in range(self._asks):
                preferred = chance.randrange(2)
                # A client of the other gateway, or of the same one again: three tries and it gives up.
                for again in range(3):
                    attempt = await self._try(http, chance, next(names), customer, preferred + again)
                    if attempt.ended not in ("cut", "unreachable"):
                        if attempt.status == 503:
                            await asyncio.sleep(0.3)
                        break
                    await asyncio.sleep(0.02 if attempt.ended == "cut" else 0.1)
                await asyncio.sleep(chance.random() * 0.05)

    async def _try(
        self, http: httpx.AsyncClient, chance: random.Random, name: str, customer: Customer, whom: int
    ) -> Attempt:
        """`whom` counts through the gateways."""
        addresses = self._addresses()
        attempt = Attempt(name, customer, chance.random() < 0.6, time.time())
        self.attempts.append(attempt)
        leaves = chance.randint(0, 8) if chance.random() < 0.08 else None
        await self._ask(http, addresses[whom % len(addresses)], attempt, leaves)
        return attempt

    async def _ask(self, http: httpx.AsyncClient, url: str, attempt: Attempt, leaves: int | None) -> None:
        """`leaves`: after so many pieces of a stream, or hundredths of a second without an answer."""
        try:
            if leaves is None:
                await self._exchange(http, url, attempt, None)
            else:
                async with asyncio.timeout(leaves / 100):
                    await self._exchange(http, url, attempt, leaves)
        except TimeoutError:
            attempt.ended = "left"
        except httpx.ConnectError:
            attempt.ended = "unreachable"
        except httpx.HTTPError:
            attempt.ended = "cut"

    async def _exchange(
        self, http: httpx.AsyncClient, url: str, attempt: Attempt, leaves: int | None
    ) -> None:
        body = {
            "model": MODEL,
            "max_tokens": 40,
            "messages": [{"role": "user", "content": f"Say {attempt.name} and more."}],
            "stream": attempt.streams,
        }
        headers = {"authorization": f"Bearer {attempt.customer.key}"}
        async with http.stream("POST", url + CHAT, json=body, headers=headers) as answer:
            attempt.status = answer.status_code
            attempt.request_id = answer.headers["x-request-id"]
            pieces = []
            async for data in answer.aiter_raw():
                pieces.append(data)
                attempt.content = attempt.content or attempt.name.encode() in data
                if leaves is not None and len(pieces) > leaves:
                    attempt.ended = "left"
                    return
        _note(attempt, b"".join(pieces))


def _note(attempt: Attempt, body: bytes) -> None:
    """An answer that came to its end."""
    if attempt.status in _REFUSALS:
        attempt.ended = "refused"
        return
    if attempt.status in _FAILURES:
        attempt.ended = "failed"
        return
    if attempt.status != 200:
        raise Strange(f"{attempt}: {body!r}")
    usage: dict[str, Any]
    if attempt.streams:
        stream = told(body)
        if not stream.done or "error" in stream.chunks[-1]:
            # Cut by a failure that is told in the stream.
            attempt.ended = "failed"
            return
        text, usage = stream.text, stream.usage
    else:
        whole = httpx.Response(200, content=body).json()
        text, usage = whole["choices"][0]["message"]["content"], whole["usage"]
    if not text.startswith(attempt.name):
        raise Strange(f"{attempt}: somebody else's answer: {text}")
    attempt.ended = "answered"
    attempt.used, attempt.remaining = usage["credits_used"], usage["credits_remaining"]
