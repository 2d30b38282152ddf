"""The provider: strict about what it gets, and its answers come at random speeds. It keeps what it saw."""

import asyncio
import json
import random
import re
import time
from dataclasses import dataclass

from hostile import Behaviour, Hostile, Peer, Seen
from hostile_behaviours import DONE, END, STREAM_HEAD, completion, frame, last, piece, response

MODEL = "hostile/chaos"
_NONCE = re.compile(r"ask-[0-9a-z-]+")
_LONGEST = 12
"""Words of an answer."""


@dataclass
class Arrival:
    """A request at its first arrival; `at` in Unix seconds. `told`: all of the answer has been sent."""

    at: float
    input: int
    output: int
    told: bool = False


class Upstream(Hostile):
    """Each request has a name of its own in its prompt, which is also in the answer and in its id."""

    def __init__(self, seed: str) -> None:
        super().__init__({}, {})
        self._seed = seed
        self.arrivals: dict[str, Arrival] = {}

    def forget(self) -> None:
        """A round is over."""
        self.arrivals = {}
        with self._lock:
            self._seen.clear()
            self._tries.clear()

    def behaviour(self, seen: Seen) -> Behaviour:
        name, arrival, chance = self._arrived(seen.prompt)
        return lambda peer: _answer(peer, name, arrival, chance)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            return await super()._exchange(reader, writer)
        except ConnectionError:
            # Reset before it was read; but it is here.
            rest = bytes(reader._buffer).decode()  # type: ignore[attr-defined]
            if _NONCE.search(rest) is not None:
                self._arrived(rest)
            raise

    def _arrived(self, prompt: str) -> tuple[str, Arrival, random.Random]:
        at = time.time()
        found = _NONCE.search(prompt)
        assert found is not None, prompt
        name = found[0]
        chance = random.Random(f"{self._seed}:{name}")
        arrival = Arrival(at, chance.randint(5, 30), chance.randint(1, _LONGEST))
        # The gateway asks again where the answer was a refusal: it is one request.
        return name, self.arrivals.setdefault(name, arrival), chance


async def _answer(peer: Peer, name: str, arrival: Arrival, chance: random.Random) -> None:
    usage = {
        "prompt_tokens": arrival.input,
        "completion_tokens": arrival.output,
        "total_tokens": arrival.input + arrival.output,
    }
    identity = {"id": f"gen-{name}", "usage": usage}
    fate = chance.random()
    if fate < 0.02 and peer.tries == 1:
        await peer.write(response(b'{"error":{"message":"later"}}', 503))
        return
    await asyncio.sleep(chance.choice([0.0, 0.0, 0.002, 0.01, 0.05]))
    words = [name, *("word" for _ in range(arrival.output - 1))]
    if not peer.seen.streams:
        message = {"role": "assistant", "content": " ".join(words)}
        await peer.write(response(json.dumps(completion(message, usage, id=identity["id"])).encode()))
        arrival.told = True
        return
    await peer.write(STREAM_HEAD)
    pause = chance.choice([0.0, 0.001, 0.005, 0.02])
    for number, word in enumerate(words):
        if fate > 0.98 and number == len(words) // 2:
            peer.reset()
            return
        await peer.write(piece(frame({"content": word if number == 0 else f" {word}"}, id=identity["id"])))
        await asyncio.sleep(0.2 if chance.random() < 0.01 else pause)
    ending = [frame(reason="stop", id=identity["id"]), last(usage), DONE]
    await peer.write(b"".join(map(piece, ending)) + END)
    arrival.told = True
