"""Many at once: in one loop, in two processes, and when one of them is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
from ledger_world import NOW, SetClock, add_license, audit, charge, ledger_on, order, query

from quantized.core.errors import InsufficientCredits
from quantized.core.ports import Receipt
from quantized.ledger.sweeper import Sweeper
from quantized.storage.leases import Leases

SPENDER = str(Path(__file__).with_name("spender.py"))
OURS = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
"""A child finds the modules that tests share."""


async def test_hundreds_of_holds_share_a_small_balance_exactly(url: str) -> None:
    add_license(url, "l", 1_000)
    async with ledger_on(url) as ledger:
        wishes = [order("l", 7, 7) for _ in range(400)]
        results = await asyncio.gather(*map(ledger.hold, wishes), return_exceptions=True)
        refused = [result for result in results if isinstance(result, InsufficientCredits)]
        assert (len(results) - len(refused), len(refused)) == (142, 258)
        assert audit(url) == {"l": (1_000, 0, 994)}
        taken = [wish for wish, result in zip(wishes, results, strict=True) if result not in refused]
        receipts = await asyncio.gather(*(ledger.settle(charge(wish.id, "l", 9)) for wish in taken))
    assert sum(receipt.charged + receipt.overrun for receipt in receipts) == 9 * 142
    assert sum(receipt.charged for receipt in receipts) == 1_000
    assert audit(url) == {"l": (1_000, 1_000, 0)}


async def test_many_licences_in_one_batch_are_kept_apart(url: str) -> None:
    names = [add_license(url, f"l{number}", number) for number in range(1, 71)]
    async with ledger_on(url) as ledger:
        holds = await asyncio.gather(*(ledger.hold(order(name, 1_000)) for name in names))
        await asyncio.gather(*(ledger.settle(charge(hold.id, hold.license_id, 10)) for hold in holds))
    assert audit(url) == {f"l{number}": (number, min(number, 10), 0) for number in range(1, 71)}


def test_two_processes_never_spend_more_than_there_is(url: str) -> None:
    add_license(url, "l", 5_000)
    children = [
        subprocess.Popen(
            [sys.executable, SPENDER, url, name, "20"], stdout=subprocess.PIPE, text=True, env=OURS
        )
        for name in ("a", "b")
    ]
    receipts = []
    for child in children:
        output, _ = child.communicate(timeout=200)
        assert child.returncode == 0
        receipts += [msgspec.json.decode(line, type=tuple[str, Receipt]) for line in output.splitlines()]
    charged = {hold_id: receipt.charged for hold_id, receipt in receipts}
    assert sum(charged.values()) == 5_000
    assert audit(url) == {"l": (5_000, 5_000, 0)}
    rows = query(url, "SELECT hold_id, charged FROM usage_record")
    assert {row["hold_id"]: row["charged"] for row in rows} == charged


def killed_in_the_middle(url: str) -> dict[str, Receipt]:
    """What a spender told before it was killed."""
    child = subprocess.Popen(
        [sys.executable, SPENDER, url, "a", "1000000"], stdout=subprocess.PIPE, text=True, env=OURS
    )
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(60)]
    child.send_signal(signal.SIGKILL)
    lines += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    return dict(msgspec.json.decode(line, type=tuple[str, Receipt]) for line in lines if line.endswith("\n"))


async def test_a_killed_process_loses_nothing_and_doubles_nothing(url: str) -> None:
    add_license(url, "l", 10**9)
    told = await asyncio.to_thread(killed_in_the_middle, url)
    before = audit(url)["l"]
    async with ledger_on(url) as ledger:
        leases = Leases(url)
        swept = await Sweeper(ledger, leases, None, SetClock(NOW + 10**6)).sweep()
        leases.close()
        for hold_id, receipt in list(told.items())[-5:]:
            assert await ledger.settle(charge(hold_id, "l", 1)) == receipt
    assert len(told) >= 60
    assert (swept > 0) == (before[2] > 0)
    assert audit(url) == {"l": (10**9, before[1], 0)}
    written = {row["hold_id"]: row["charged"] for row in query(url, "SELECT * FROM usage_record")}
    assert told.keys() <= written.keys()
    assert all(written[hold_id] == receipt.charged for hold_id, receipt in told.items())
