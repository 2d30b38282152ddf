"""The simulated world: it finds nothing wrong with the ledger, it would, and it can be played again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ledger_world import charge, ledger_on, order, url_of
from simulation.auditor import Auditor
from simulation.books import Broken
from simulation.episodes import Episodes
from simulation.model import Account
from simulation.plan import Plan, draw, smaller

ROOT = Path(__file__).parents[2]


def test_nothing_is_found_and_the_same_seed_is_the_same_world_in_every_process() -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "simulation", "--steps", "1500", "--seed", "2"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        for hash_seed in ("1", "2")
    ]
    told = [run.communicate(timeout=200)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    assert told[0][-2:] == told[1][-2:] and told[0][-2] == "trace"


def test_a_world_of_all_troubles_at_once() -> None:
    plan = Plan(
        seed="all", gateways=3, licenses=4, requests_per_second=12.0, transaction=0.003, refused=0.05,
        answer_lost=0.05, slow=0.01, between_outages=12.0, between_crashes=15.0, crash_at_commit=0.003,
        between_power_failures=30.0, between_stops=25.0, skew=5.0, impatient=0.2, repeated=0.25,
        confused=0.05, poisoned=0.01, short_holds=0.1, between_grants=2.0,
    )  # fmt: skip
    with Episodes() as episodes:
        assert episodes.play(plan) is None
    assert episodes.steps > 1_500


def test_a_seed_names_its_world_and_what_is_left_out_of_it() -> None:
    whole = draw("7:3")
    assert draw("7:3/1-gateways-skew") == Plan(
        **{name: getattr(whole, name) for name in Plan.__struct_fields__}
        | {"seed": "7:3/1-gateways-skew", "gateways": 1, "skew": 0.0}
    )
    assert all(draw(seed) != whole for seed in smaller(whole))
    with pytest.raises(ValueError, match="no luck"):
        draw("7:3-luck")


async def audited(path: Path, template: Path) -> Auditor:
    """Books with one charge, one overrun and one open hold, seen from their beginning."""
    shutil.copy(template, path)
    auditor = Auditor(path)
    auditor.model.accounts["l"] = Account(unlimited=False)
    sql = auditor.books.connection
    sql.execute("INSERT INTO institution VALUES ('i', 'i', 'I', 0)")
    sql.execute(
        "INSERT INTO license_type (id, institution_id, alias, name, created_at, updated_at)"
        " VALUES ('t', 'i', 't', 'T', 0, 0)"
    )
    sql.execute("INSERT INTO license (id, license_type_id, name, created_at) VALUES ('l', 't', 'L', 0)")
    wishes = [order("l", 0, 0, hold_id="charged"), order("l", 0, 0, hold_id="open")]
    charged = charge("charged", "l", 5)
    async with ledger_on(url_of(path)) as ledger:
        for wish in wishes:
            await ledger.hold(wish)
            auditor.committed([wish])
        receipt = await ledger.settle(charged)
        auditor.committed([charged])
    auditor.told_receipt("charged", receipt)
    auditor.at_rest()
    return auditor


TAMPERINGS = [
    "UPDATE license SET held = 1, granted = 1",
    "UPDATE license SET used = 1, granted = 1",
    "UPDATE license SET entries = entries + 1",
    "UPDATE license SET head = NULL",
    "UPDATE license SET name = 'M'",
    "UPDATE hold SET amount = 1 WHERE id = 'open'",
    "UPDATE hold SET license_id = 'm' WHERE id = 'open'",
    "UPDATE hold SET state = 'open', ended_at = NULL WHERE id = 'charged'",
    "UPDATE hold SET state = 'released' WHERE id = 'charged'",
    "UPDATE hold SET state = 'settled', ended_at = 1 WHERE id = 'open'",
    "UPDATE hold SET state = 'released', ended_at = 1 WHERE id = 'open'",
    "UPDATE usage_record SET charged = 1, price = 6",
    "UPDATE usage_record SET model = 'another'",
    "UPDATE ledger_entry SET amount = 6 WHERE kind = 'overrun'",
    "DELETE FROM ledger_entry WHERE kind = 'overrun'",
    "DELETE FROM usage_record",
    "DELETE FROM hold WHERE id = 'open'",
    "INSERT INTO ledger_entry SELECT license_id, 3, 'x', 'grant', 'institution', 'license', 1, 1, NULL, NULL,"
    " NULL, NULL, FALSE, 0, NULL, zeroblob(32) FROM ledger_entry WHERE seq = 1",
]  # fmt: skip


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_whatever_is_changed_behind_the_ledgers_back_is_seen(
    template: Path, tmp_path: Path, tampering: str
) -> None:
    auditor = await audited(tmp_path / "audited.db", template)
    sql = auditor.books.connection
    own = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name NOT LIKE 'note_%'"
    for (trigger,) in sql.execute(own).fetchall():
        sql.execute(f"DROP TRIGGER {trigger}")
    sql.execute("PRAGMA foreign_keys = OFF")
    sql.execute(tampering)
    with pytest.raises(Broken):
        auditor.at_rest()
    auditor.close()


async def test_a_receipt_that_is_told_differently_is_seen(template: Path, tmp_path: Path) -> None:
    auditor = await audited(tmp_path / "audited.db", template)
    async with ledger_on(url_of(tmp_path / "audited.db")) as ledger:
        receipt = await ledger.settle(charge("charged", "l", 5))
        hold = await ledger.hold(order("l", 0, 0, hold_id="open"))
    auditor.told_receipt("charged", receipt)
    auditor.told_held(order("l", 0, 0, hold_id="open"), hold)
    with pytest.raises(Broken, match="is what is in the books"):
        auditor.told_receipt("charged", type(receipt)(1, 4, -1))
    with pytest.raises(Broken, match="no upstream call without a hold"):
        auditor.told_held(order("l", 0, 0, hold_id="another"), hold)
    auditor.close()
