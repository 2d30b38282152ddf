"""So many things at once, and of each holder no more than its share."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """`at_once` over all holders, of which one has `each` at most. Who has fewest is next, and among those
    who has waited longest."""

    def __init__(self, at_once: int, each: int) -> None:
        self._free = at_once
        self._each = each
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def taken(self, holder: str) -> AsyncIterator[None]:
        """A slot, waited for."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(holder, deque()).append(turn)
        self._serve()
        try:
            await turn
            yield
        finally:
            # Who is cancelled when its turn has come has it all the same.
            if not turn.cancelled():
                self._give_back(holder)

    def _give_back(self, holder: str) -> None:
        self._free += 1
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]
        self._serve()

    def _serve(self) -> None:
        while self._free:
            below = [holder for holder in self._waiting if self._held[holder] < self._each]
            if not below:
                return
            holder = min(below, key=self._held.__getitem__)
            queue = self._waiting.pop(holder)
            turn = queue.popleft()
            if queue:
                # Behind the others.
                self._waiting[holder] = queue
            if not turn.cancelled():
                self._free -= 1
                self._held[holder] += 1
                turn.set_result(None)
