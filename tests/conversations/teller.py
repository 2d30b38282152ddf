"""A process that says one turn after the other on licence `mine`, and tells the id of each it settled."""

import asyncio
import itertools
import sys

from conversation_world import turn, world_on


async def tell(url: str) -> None:
    async with world_on(url) as world:

        async def talk(name: str) -> None:
            previous = None
            for number in itertools.count():
                said = turn(f"{name}x{number}", previous, call_id=f"call-{name}-{number}", size=3_000)
                await world.say(said)
                print(said.id, flush=True)
                previous = f"{name}x{number}"

        await asyncio.gather(*(talk(f"c{number}") for number in range(5)))


asyncio.run(tell(sys.argv[1]))
