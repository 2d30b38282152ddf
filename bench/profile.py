"""`python -m bench.profile`: where the gateway's microseconds go under the load of one row.

Needs py-spy, which samples a process from outside. It is in no lock: install it into a virtual environment of
its own whose bin/ is on PATH.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.contenders import BEDROCK, Contender, start_upstreams
from bench.gateway import Ledger, start_gateway
from bench.machine import LOAD_CORE, Running, Unable, allow_open_files, check_machine
from bench.rows import Load, rows

_SAMPLES_A_SECOND = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """0: told; 2: cannot be run here."""
    options = _options(arguments)
    load = next(row.load for row in rows() if row.key == options.row)
    try:
        check_machine()
        allow_open_files()
        if shutil.which("py-spy") is None:
            raise Unable(f"py-spy is not on PATH. {__doc__}")
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            upstreams = start_upstreams(stack, folder)
            if load.upstream is not BEDROCK:
                del upstreams[BEDROCK.name]
            gateway, ledger = start_gateway(stack, folder, upstreams)
            _serve(load, gateway, ledger, 1)
            threads = gateway.process.thread_seconds()
            answers = _serve(load, gateway, ledger, options.seconds)
            _tell_threads(threads, gateway.process.thread_seconds(), answers)
            with _sampling(gateway, folder / "stacks", folder, options.seconds) as sampling:
                _serve(load, gateway, ledger, options.seconds + 1)
                sampling.wait()
            _tell_functions((folder / "stacks").read_text().splitlines(), options.lines)
    except Unable as unable:
        print(f"bench: {unable}", file=sys.stderr)
        return 2
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    keys = [row.key for row in rows() if row.key != "memory"]
    parser.add_argument("row", nargs="?", default="json", choices=keys, help="whose load (json)")
    parser.add_argument("--seconds", type=int, default=6, help="of sampling (6)")
    parser.add_argument("--lines", type=int, default=40, help="of each table (40)")
    return parser.parse_args(arguments)


def _serve(load: Load, gateway: Contender, ledger: Ledger, seconds: float) -> int:
    """Good answers."""
    with load.running(gateway, seconds) as process:
        answers: int = load.result(process, gateway, ledger)["good"]
    return answers


def _sampling(gateway: Contender, stacks: Path, folder: Path, seconds: int) -> Running:
    """Only who holds the interpreter's lock is counted: the work of the event loop, not its sleep, and not
    the system calls of other threads, whose time the table of threads tells."""
    command: list[str | Path] = ["py-spy", "record", "--pid", str(gateway.process.pid), "--output", stacks]
    command += ["--format", "raw", "--gil", "--function"]
    command += ["--rate", str(_SAMPLES_A_SECOND), "--duration", str(seconds)]
    return Running("py-spy", LOAD_CORE, command, folder, os.environ)


def _tell_threads(before: dict[str, float], after: dict[str, float], answers: int) -> None:
    print(f"{answers} answers; CPU µs of each, by thread:")
    spent = {thread: after[thread] - before.get(thread, 0.0) for thread in after}
    for thread, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        if seconds > 0:
            print(f"{seconds * 1e6 / answers:8.0f}  {thread}")


def _tell_functions(stacks: Sequence[str], lines: int) -> None:
    """Each line is a stack, its functions from the outermost with ; between, and how often it was seen."""
    alone: Counter[str] = Counter()
    with_callees: Counter[str] = Counter()
    for line in stacks:
        path, _, count = line.rpartition(" ")
        functions = path.split(";")
        alone[functions[-1]] += int(count)
        with_callees.update(dict.fromkeys(functions, int(count)))
    total = alone.total()
    _tell_share("function alone", alone, total, lines)
    # What every sample has in it is only how the program was started.
    inner = Counter({function: count for function, count in with_callees.items() if count < 0.99 * total})
    _tell_share("function and what it calls", inner, total, lines)


def _tell_share(title: str, counted: Counter[str], total: int, lines: int) -> None:
    print(f"\n% of {total} samples: {title}")
    for function, count in counted.most_common(lines):
        print(f"{100 * count / total:8.1f}  {function}")


if __name__ == "__main__":
    sys.exit(main())
