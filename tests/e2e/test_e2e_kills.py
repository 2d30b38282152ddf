"""Workers are killed at random moments under load: no credit is lost, none is charged twice."""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress

import httpx
from chat_client import ask, told
from gateway_process import GatewayProcess, Licence, eventually
from hostile import Hostile

Gateways = Callable[..., GatewayProcess]
ROUNDS = 4
CLIENTS, STEADY = 12, 1
"""Of the clients, `STEADY` ask also while a worker is being replaced."""
PRICE = 114


def serving(gateway: GatewayProcess) -> dict[int, int]:
    """The newest process of each worker, by its number."""
    return {line["worker"]: line["pid"] for line in gateway.log() if line["message"] == "serving"}


class Crowd:
    """Clients that ask again and again, and note every answer that they got whole."""

    def __init__(self, gateway: GatewayProcess, licence: Licence, seed: int) -> None:
        self._gateway = gateway
        self._licence = licence
        self._random = random.Random(seed)
        self.charged: dict[str, int] = {}
        """Credits used by request id, as the clients were told."""
        self.broken = 0
        self.stopped = False
        self.all_ask = asyncio.Event()
        """While it is not set most wait for it: what is started then has a processor."""
        self.all_ask.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self._ask_again_and_again(pauses=number >= STEADY))

    async def _ask_again_and_again(self, pauses: bool) -> None:
        async with httpx.AsyncClient(base_url=self._gateway.url, timeout=50, verify=False) as client:
            while not self.stopped:
                if pauses:
                    await self.all_ask.wait()
                try:
                    await self._ask(client)
                except httpx.HTTPError:
                    self.broken += 1

    async def _ask(self, client: httpx.AsyncClient) -> None:
        stream = self._random.random() < 0.5
        body = ask(self._random.choice(["plain", "plain", "pauses"]) if stream else "plain", self._licence)
        answer = await client.post(
            "/v1/chat/completions", json=body | {"stream": stream}, headers=self._licence.headers
        )
        assert answer.status_code == 200, answer.text
        usage = told(answer.content).usage if stream else answer.json()["usage"]
        self.charged[answer.headers["x-request-id"]] = usage["credits_used"]


async def test_whatever_a_client_was_told_is_charged_once_and_nothing_stays_held(
    make_gateway: Gateways, hostile: Hostile
) -> None:
    gateway = make_gateway("workers = 2")
    await asyncio.to_thread(gateway.start)
    licence = gateway.licence("1000")
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    crowd = Crowd(gateway, licence, seed)
    crowding = asyncio.create_task(crowd.run())
    for round_ in range(ROUNDS):
        before = serving(gateway)
        answered = len(crowd.charged)
        await asyncio.to_thread(eventually, lambda n=answered: len(crowd.charged) > n + 10, "answers come")
        await asyncio.sleep(chance.random() * 0.05)  # the moment of the kill is what chance decides
        victim = 1 + round_ % 2
        with suppress(ProcessLookupError):
            os.kill(before[victim], signal.SIGKILL)
        crowd.all_ask.clear()
        await asyncio.to_thread(
            eventually,
            lambda victim=victim, pid=before[victim]: serving(gateway)[victim] != pid,
            "another takes its place",
            100,
        )
        crowd.all_ask.set()
    crowd.stopped = True
    await crowding
    # Both have lived through their deaths: what the dead held is released by those of their machine.
    books = await asyncio.to_thread(
        eventually,
        lambda: (books := gateway.books(licence)).open_holds == 0 and books,
        f"every hold ends; seed {seed}",
        50,
    )
    assert await asyncio.to_thread(gateway.stop) == 0
    books = gateway.books(licence)
    books.audit()
    charges = {usage["request_id"]: usage["charged"] for usage in books.usage}
    assert len(charges) == len(books.usage), f"seed {seed}"
    assert crowd.charged.items() <= charges.items(), f"seed {seed}"
    assert set(crowd.charged.values()) == {PRICE}
    ends = [(hold["state"], hold["reason"]) for hold in books.holds]
    assert set(ends) <= {("settled", None), ("released", "process died")}, f"seed {seed}: {set(ends)}"
    gateway.cli("ledger", "verify")  # which fails where it finds anything
