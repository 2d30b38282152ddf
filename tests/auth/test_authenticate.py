import asyncio

import pytest
from campus import campus, sign
from msgspec.structs import replace

from quantized.auth import authenticate
from quantized.auth.api_key import digest, mint_key
from quantized.auth.authenticate import Authenticator
from quantized.core.errors import LedgerUnavailable, Unauthenticated
from quantized.core.ports import Caller, Issuer, KeyRecord, Terms

NOW = 1_700_000_000_000
CALLER = Caller("i", "t", "l", "key-1", Terms("x"))


class SetClock:
    seconds = 0.0

    def now_ms(self) -> int:
        return NOW + round(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


class Keys:
    """Answers when `open` is set, counts the questions."""

    def __init__(self) -> None:
        self.records: dict[bytes, KeyRecord] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.asked = 0
        self.away = False

    def add(
        self, key: str, *, active: bool = True, expires_at: int | None = None, license_active: bool = True
    ) -> str:
        self.records[digest(key)] = KeyRecord(digest(key), active, expires_at, license_active, CALLER)
        return f"Bearer {key}"

    async def find(self, wanted: bytes) -> KeyRecord | None:
        self.asked += 1
        await self.open.wait()
        if self.away:
            raise LedgerUnavailable(cause="away")
        return self.records.get(wanted)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def keys() -> Keys:
    return Keys()


@pytest.fixture
async def door(keys: Keys, clock: SetClock) -> Authenticator:
    return Authenticator(keys, clock, 2.0)


async def refusal(door: Authenticator, header: str | None) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await door.authenticate(header)
    assert refused.value.message == "Invalid API key"
    return str(refused.value.cause)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_key_lets_its_caller_in(door: Authenticator, keys: Keys, scheme: str) -> None:
    header = keys.add(mint_key())
    assert await door.authenticate(header.replace("Bearer", scheme)) is CALLER
    assert await door.authenticate(header.replace("Bearer ", f"{scheme}   ")) is CALLER


@pytest.mark.parametrize(
    "header",
    [
        None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "sk-quantized-abc", "Bearer sk-abc",
        "Bearer sk-quantized-ä", "Bearer\tsk-quantized-a", "Bearer sk-quantized-" + "a" * 600,
        "Bearer a.b.c", "Bearer ..", "Bearer a.b", f"Bearer {sign()}.x", f"Bearer {sign()}ä",
        f"Bearer {sign()}=",
        f"Bearer {sign(campus(own='x' * 9_000))}", "Bearer " + "." * 8_200, f"Token {sign()}",
        f"Bearer{sign()}",
        f"Bearer {sign({})}", f"Bearer {sign(header={'alg': 'none'})}", f"Bearer {sign()} {sign()}",
    ],
)  # fmt: skip
async def test_what_cannot_be_a_key_is_refused_without_a_question(
    door: Authenticator, keys: Keys, header: str | None
) -> None:
    assert await refusal(door, header)
    assert keys.asked == 0


async def test_a_token_that_was_used_is_found_as_a_key_is(door: Authenticator, keys: Keys) -> None:
    token = sign()
    header = keys.add(token)
    assert await door.authenticate(header) is CALLER
    assert await door.authenticate(header.replace("Bearer", "bearer")) is CALLER
    assert keys.asked == 1
    assert await refusal(door, f"Bearer {sign(campus(salt='another'))}") == "unknown key"


async def test_a_tokens_issuer_is_judged_with_every_answer(
    door: Authenticator, keys: Keys, clock: SetClock
) -> None:
    def answered(**changed: object) -> str:
        issuer = replace(Issuer("pub-1", active=True, expires_at=NOW + 1_000, revoked=False), **changed)
        token = sign(campus(salt=str(changed)))
        header = keys.add(token)
        keys.records[digest(token)] = replace(keys.records[digest(token)], issuer=issuer)
        return header

    good = answered()
    assert await door.authenticate(good) is CALLER
    assert "public key pub-1 is deactivated" in await refusal(door, answered(active=False))
    assert "public key pub-1 has expired" in await refusal(door, answered(expires_at=NOW))
    assert "is revoked" in await refusal(door, answered(revoked=True))
    clock.seconds = 1.0
    assert "public key pub-1 has expired" in await refusal(door, good)


async def test_every_refusal_reads_the_same_outside_and_says_why_inside(
    door: Authenticator, keys: Keys
) -> None:
    assert await refusal(door, f"Bearer {mint_key()}") == "unknown key"
    assert "deactivated" in await refusal(door, keys.add(mint_key(), active=False))
    assert "expired" in await refusal(door, keys.add(mint_key(), expires_at=NOW))
    assert "licence l" in await refusal(door, keys.add(mint_key(), license_active=False))


async def test_an_answer_is_remembered_for_as_long_as_was_said(
    door: Authenticator, keys: Keys, clock: SetClock
) -> None:
    key = mint_key()
    header = keys.add(key)
    await door.authenticate(header)
    keys.add(key, active=False)
    clock.seconds = 1.9
    assert await door.authenticate(header) is CALLER
    assert keys.asked == 1
    clock.seconds = 2.0
    await refusal(door, header)
    keys.add(key)
    clock.seconds = 3.9
    await refusal(door, header)
    assert keys.asked == 2
    clock.seconds = 4.0
    assert await door.authenticate(header) is CALLER


async def test_remembering_begins_with_the_question_not_with_the_answer(
    door: Authenticator, keys: Keys, clock: SetClock
) -> None:
    header = keys.add(mint_key())
    keys.open.clear()
    asking = asyncio.create_task(door.authenticate(header))
    await asyncio.sleep(0)
    clock.seconds = 1.5
    keys.open.set()
    await asking
    clock.seconds = 2.0
    await door.authenticate(header)
    assert keys.asked == 2


async def test_a_remembered_key_stops_at_the_instant_of_its_expiry(
    door: Authenticator, keys: Keys, clock: SetClock
) -> None:
    header = keys.add(mint_key(), expires_at=NOW + 1_000)
    clock.seconds = 0.999
    assert await door.authenticate(header) is CALLER
    clock.seconds = 1.0
    assert "expired" in await refusal(door, header)
    assert keys.asked == 1


async def test_requests_that_come_together_ask_once_and_one_that_leaves_takes_nothing_away(
    door: Authenticator, keys: Keys
) -> None:
    header = keys.add(mint_key())
    keys.open.clear()
    asking = [asyncio.create_task(door.authenticate(header)) for _ in range(10)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    keys.open.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [CALLER] * 9
    assert keys.asked == 1


async def test_an_answer_that_everybody_stopped_waiting_for_is_heard_all_the_same(
    door: Authenticator, keys: Keys
) -> None:
    header = keys.add(mint_key())
    keys.open.clear()
    asking = asyncio.create_task(door.authenticate(header))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    keys.open.set()
    assert await door.authenticate(header) is CALLER
    assert keys.asked == 1


async def test_a_store_that_is_away_is_not_a_wrong_key_and_is_not_remembered(
    door: Authenticator, keys: Keys, clock: SetClock
) -> None:
    header = keys.add(mint_key())
    keys.away = True
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            await door.authenticate(header)
    keys.away = False
    assert await door.authenticate(header) is CALLER
    keys.away = True
    clock.seconds = 1
    assert await door.authenticate(header) is CALLER
    clock.seconds = 2
    with pytest.raises(LedgerUnavailable):
        await door.authenticate(header)


async def test_a_flood_of_wrong_keys_pushes_no_right_one_out_and_grows_nothing(
    door: Authenticator, keys: Keys
) -> None:
    header = keys.add(mint_key())
    await door.authenticate(header)
    first = f"Bearer {mint_key()}"
    await refusal(door, first)
    for _ in range(authenticate._REMEMBERED):
        await refusal(door, f"Bearer {mint_key()}")
    asked = keys.asked
    assert await door.authenticate(header) is CALLER
    assert keys.asked == asked
    await refusal(door, first)
    assert keys.asked == asked + 1


async def test_nothing_is_remembered_when_told_so(keys: Keys, clock: SetClock) -> None:
    door = Authenticator(keys, clock, 0)
    header = keys.add(mint_key())
    await door.authenticate(header)
    await door.authenticate(header)
    assert keys.asked == 2
