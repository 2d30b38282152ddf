"""`python -m bench.workers`: requests per second with 1 and 2 workers, on SQLite and on PostgreSQL.

Each worker has a core; load generator and mock upstream share the second one, so that on a machine of two
cores two workers have what those leave.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.contenders import INSTANT, start_upstreams
from bench.database import start_postgres
from bench.gateway import LedgerDiffers, start_gateway
from bench.machine import OtherWork, Unable, allow_open_files, check_machine, compiled
from bench.rows import Load, LoadFailed


def main(arguments: Sequence[str] | None = None) -> int:
    """0: measured; 1: a wrong answer or a wrong charge; 2: cannot be run here."""
    options = _options(arguments)
    try:
        check_machine()
        allow_open_files()
        for program in ("mock", "load"):
            compiled(program)
        others = OtherWork()
        print("| database | workers | requests/s | first byte p50, ms | p99, ms | CPU µs | memory, MiB |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for kind in options.databases:
            for workers in options.workers:
                print(_measured(kind, workers, options), flush=True)
        print(f"\nother work on the machine meanwhile: {others.share():.0%} of its cores")
    except Unable as unable:
        print(f"bench: {unable}", file=sys.stderr)
        return 2
    except (LoadFailed, LedgerDiffers) as wrong:
        print(f"bench: {wrong}", file=sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args(arguments)


def _measured(kind: str, workers: int, options: argparse.Namespace) -> str:
    """A row: medians over the rounds, after one that warms."""
    load = Load(INSTANT, options.connections, stream=False)
    figures: list[tuple[float, float, float, float]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-workers-")))
        upstreams = {INSTANT.name: start_upstreams(stack, folder)[INSTANT.name]}
        server = start_postgres(stack) if kind == "postgres" else None
        gateway, ledger = start_gateway(
            stack, folder / "gateway", upstreams, database=server, workers=workers
        )
        for number in range(options.rounds + 1):
            before = gateway.process.cpu_seconds()
            with load.running(gateway, options.seconds if number else 1) as process:
                told = load.result(process, gateway, ledger)
            spent = gateway.process.cpu_seconds() - before
            delay = told["first_byte"]
            figures.append(
                (
                    told["good"] / told["seconds"],
                    delay["p50"] / 1e3,
                    delay["p99"] / 1e3,
                    spent * 1e6 / told["good"],
                )
            )
        memory = gateway.process.resident_bytes() / 2**20
        ledger.check()
    rate, p50, p99, cpu = (statistics.median(each) for each in zip(*figures[1:], strict=True))
    return f"| {kind} | {workers} | {rate:.0f} | {p50:.1f} | {p99:.1f} | {cpu:.0f} | {memory:.0f} |"


if __name__ == "__main__":
    sys.exit(main())
