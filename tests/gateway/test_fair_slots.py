"""Slots: never more than there are, none lost, and for each holder its share."""

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from quantized.gateway.slots import Slots

STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["take", "end", "cancel"]), st.integers(0, 20)),
    max_size=60,
)


async def settled() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def run(at_once: int, each: int, steps: list[tuple[str, str, int]]) -> None:
    slots = Slots(at_once, each)
    held: Counter[str] = Counter()
    tasks: list[tuple[asyncio.Task[None], asyncio.Event, str]] = []

    async def hold(holder: str, end: asyncio.Event) -> None:
        async with slots.taken(holder):
            held[holder] += 1
            try:
                await end.wait()
            finally:
                held[holder] -= 1

    for holder, verb, which in steps:
        if verb == "take" or not tasks:
            end = asyncio.Event()
            tasks.append((asyncio.create_task(hold(holder, end)), end, holder))
        elif verb == "end":
            tasks[which % len(tasks)][1].set()
        else:
            tasks[which % len(tasks)][0].cancel()
        if which % 2:
            await settled()
            alive = Counter(holder for task, _, holder in tasks if not task.done())
            assert all(count <= each for count in held.values())
            wanted = sum(min(each, count) for count in alive.values())
            assert held.total() == min(at_once, wanted), "none is kept from whom it is due to"
    for _, end, _ in tasks:
        end.set()
    async with asyncio.timeout(50):
        await asyncio.gather(*(task for task, _, _ in tasks), return_exceptions=True)
        async with slots.taken("d"):
            pass


@given(st.integers(1, 5), st.integers(1, 3), STEPS)
@settings(max_examples=100, deadline=None)
def test_shares(at_once: int, each: int, steps: list[tuple[str, str, int]]) -> None:
    asyncio.run(run(at_once, each, steps))


async def test_who_has_fewest_is_next() -> None:
    slots = Slots(3, 3)
    order: list[str] = []
    ends = [asyncio.Event() for _ in range(7)]

    async def hold(holder: str, end: asyncio.Event) -> None:
        async with slots.taken(holder):
            order.append(holder)
            await end.wait()

    tasks = [asyncio.create_task(hold(who, end)) for who, end in zip("aaaaabc", ends, strict=True)]
    await settled()
    assert order == ["a", "a", "a"]
    for end in ends:
        end.set()
        await settled()
    assert "".join(order[3:5]) == "bc"
    await asyncio.gather(*tasks)
