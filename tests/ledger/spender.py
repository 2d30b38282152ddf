"""A process that holds and settles on licence `l` until nothing is left, and tells each receipt it got."""

import asyncio
import sys

import msgspec
from ledger_world import charge, ledger_on, order

from quantized.core.errors import InsufficientCredits


async def spend(url: str, name: str, most: int) -> None:
    async with ledger_on(url, patience=20) as ledger:

        async def work(worker: int) -> None:
            for number in range(most):
                try:
                    hold = await ledger.hold(order("l", 25, hold_id=f"{name}-{worker}-{number}"))
                except InsufficientCredits:
                    return
                receipt = await ledger.settle(charge(hold.id, "l", 15))
                print(msgspec.json.encode((hold.id, receipt)).decode(), flush=True)

        await asyncio.gather(*(work(worker) for worker in range(25)))


asyncio.run(spend(sys.argv[1], sys.argv[2], int(sys.argv[3])))
