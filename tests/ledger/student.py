"""A process in which one user asks by the hundred, within an allowance of 2,000 and 8 requests at a time,
until nothing is left. Tells what was charged and how many requests it had at most at once."""

import asyncio
import sys

from ledger_world import ledger_on
from limits_world import by, used
from msgspec.structs import replace

from quantized.core.errors import AllowanceExhausted, RateLimited
from quantized.core.limits import Limits

LIMITS = Limits(parallel_requests=8)


async def study(url: str, name: str) -> None:
    charged = under_way = most = 0
    async with ledger_on(url, patience=20) as ledger:

        async def work(worker: int) -> None:
            nonlocal charged, under_way, most
            number = 0
            while True:
                number += 1
                hold_id = f"{name}-{worker}-{number}"
                wish = replace(
                    by("ann", 2_000, 25), limits=LIMITS, id=hold_id, request_id=f"req-of-{hold_id}"
                )
                try:
                    await ledger.hold(wish)
                except RateLimited:
                    continue
                except AllowanceExhausted:
                    return
                under_way += 1
                most = max(most, under_way)
                receipt = await ledger.settle(used(wish, 15))
                under_way -= 1
                charged += receipt.charged

        await asyncio.gather(*(work(worker) for worker in range(25)))
    print(charged, most)


asyncio.run(study(sys.argv[1], sys.argv[2]))
