"""A turn and its charge are one: whatever happens, and at no cost to those who store nothing."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conversation_world import LIMITS, NOW, turn, world_on
from database_copies import Templates
from plain_sql import plainly, rows

from quantized.conversations.rules import Limits
from quantized.core.ports import Receipt
from quantized.storage.records import settled
from quantized.storage.sqlite import connect
from quantized.storage.sqlite_turns import insert_turns

TELLER = str(Path(__file__).with_name("teller.py"))
OURS = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
"""A child finds the modules that tests share."""


def killed_in_the_middle(url: str) -> list[str]:
    """The ids that were told before the kill."""
    child = subprocess.Popen([sys.executable, TELLER, url], stdout=subprocess.PIPE, text=True, env=OURS)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(80)]
    child.send_signal(signal.SIGKILL)
    lines += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    return [line.strip() for line in lines if line.endswith("\n")]


async def test_a_killed_process_leaves_no_turn_without_its_charge_and_no_charge_without_its_turn(
    url: str,
) -> None:
    told = await asyncio.to_thread(killed_in_the_middle, url)
    assert len(told) >= 80
    stored = {hold_id: id_ for id_, hold_id in rows(url, "SELECT id, hold_id FROM response")}
    charged = {hold_id for (hold_id,) in rows(url, "SELECT hold_id FROM usage_record")}
    calls = {id_ for (id_,) in rows(url, "SELECT response_id FROM response_call")}
    assert stored.keys() == charged
    assert calls == set(stored.values())
    assert set(told) <= calls
    async with world_on(url, Limits(turns=10_000, bytes=LIMITS.bytes)) as world:
        for id_ in told[-5:]:
            number = int(id_.rpartition("x")[2])
            assert len(await world.history(id_.removeprefix("resp-"))) == 2 * (number + 1)


async def test_a_turn_without_its_charge_is_refused_by_the_database(url: str) -> None:
    with plainly(url) as sql, pytest.raises(sql.rejections):
        sql(
            "INSERT INTO response (id, license_id, hold_id, created_at, answer, context, input)"
            " VALUES ('resp-a', 'mine', 'hold-1', 0, '', '', '')"
        )


async def test_turns_cost_a_statement_for_many_and_nothing_for_none(
    conversation_templates: Templates, tmp_path: Path
) -> None:
    url = conversation_templates.sqlite(tmp_path / "conversations.db")
    async with world_on(url) as world:
        without = [settled(await world.hold(None), Receipt(7, 0, None), NOW) for _ in range(8)]
        stored = [
            settled(
                await world.hold(turn(f"n{n}", call_id=f"call-{n}" if n < 4 else None)),
                Receipt(7, 0, None),
                NOW,
            )
            for n in range(8)
        ]
    with closing(connect(url)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        insert_turns(connection, without)
        assert statements == []
        insert_turns(connection, [*without, *stored])
    assert [statement.partition("(")[0] for statement in statements] == [
        "INSERT INTO response ",
        "INSERT INTO response_call ",
        "INSERT INTO response_reasoning ",
    ]
