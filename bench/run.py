"""`python -m bench.run`: the gateway and nginx in turns, the table at the end."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench.contenders import BEDROCK, Contender, start_nginx, start_upstreams
from bench.database import start_postgres
from bench.gateway import Ledger, LedgerDiffers, start_gateway
from bench.machine import OtherWork, Unable, allow_open_files, check_machine, compiled
from bench.report import as_json, machine, table
from bench.rows import Line, LoadFailed, Row, rows

_DISTURBED = 0.05
"""The share of the cores that other work may have without a word about it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0: measured, whatever came of it; 1: a wrong answer or a wrong charge; 2: cannot be run here."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _leave)
    # Also where whoever started this in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    chosen = [row for row in rows() if not options.only or row.key in options.only]
    try:
        check_machine()
        allow_open_files()
        for program in ("mock", "load"):
            compiled(program)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            upstreams = start_upstreams(stack, folder)
            nginx = start_nginx(stack, folder, upstreams)
            gateways = _start_gateways(stack, folder, upstreams, chosen)
            others = OtherWork()
            lines = _measure(options, chosen, gateways, nginx)
            disturbed = others.share()
            verdict = "; ".join(ledger.check() for _, ledger in gateways.values())
    except Unable as unable:
        print(f"bench: {unable}", file=sys.stderr)
        return 2
    except (LoadFailed, LedgerDiffers) as wrong:
        print(f"bench: {wrong}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    _tell(options, lines, verdict, disturbed, time.monotonic() - began)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short rounds, for a first impression")
    parser.add_argument("--seconds", type=float, help="of load in each round (2; quick: 0.5)")
    parser.add_argument("--rounds", type=int, help="of each row (5; quick: 2)")
    parser.add_argument(
        "--only", action="append", choices=[row.key for row in rows()], help="can be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(arguments)
    options.seconds = options.seconds or (0.5 if options.quick else 2.0)
    options.rounds = options.rounds or (2 if options.quick else 5)
    if options.seconds < 0 or options.rounds < 0:
        parser.error("--seconds and --rounds are above 0")
    return options


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    # As Ctrl-C does: what was started is stopped on the way out.
    raise KeyboardInterrupt


def _start_gateways(
    stack: ExitStack, folder: Path, upstreams: Mapping[str, int], chosen: Sequence[Row]
) -> dict[str, tuple[Contender, Ledger]]:
    """By kind. The one that serves Bedrock is apart, so that the others' memory is without AWS's libraries
    and price lists; each is there only if a row wants it."""
    apart: dict[bool, dict[str, int]] = {True: {}, False: {}}
    for name, port in upstreams.items():
        apart[name == BEDROCK.name][name] = port
    return {
        kind: start_gateway(
            stack,
            folder / kind,
            apart[kind == "bedrock"],
            database=start_postgres(stack) if kind == "postgres" else None,
        )
        for kind in sorted({_kind(row) for row in chosen})
    }


def _kind(row: Row) -> str:
    return "bedrock" if row.load.upstream is BEDROCK else "postgres" if row.postgres else "gateway"


def _measure(
    options: argparse.Namespace,
    chosen: Sequence[Row],
    gateways: Mapping[str, tuple[Contender, Ledger]],
    nginx: Contender,
) -> list[Line]:
    for row in chosen:
        gateway, ledger = gateways[_kind(row)]
        print(f"{row.key} ", end="", file=sys.stderr, flush=True)
        for _ in range(row.rounds or options.rounds):
            for contender in (gateway, nginx):
                row.measure(row, contender, ledger, options.seconds)
            print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    return [line for row in chosen for line in row.lines]


def _tell(
    options: argparse.Namespace, lines: Sequence[Line], verdict: str, disturbed: float, seconds: float
) -> None:
    print(table(lines))
    print("\nleast, median and greatest over the rounds;", ", ".join(machine().values()))
    print(f"every answer was right; {verdict}; {seconds:.0f} s")
    if disturbed > _DISTURBED:
        print(f"other work took {disturbed:.0%} of the two cores: measure again when the machine is at rest")
    if options.json:
        options.json.write_text(as_json(lines, verdict, disturbed) + "\n")


if __name__ == "__main__":
    sys.exit(main())
