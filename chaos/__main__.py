"""`python -m chaos`: plays rounds on both databases until so many are played, or a law is broken."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from chaos.rounds import Broken, play, told

_KINDS = ("postgresql", "sqlite")


def main(arguments: list[str] | None = None) -> int:
    """0: nothing found; 1: something found, and told, with the folder where all of it lies."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="on PostgreSQL, and a third of it on SQLite")
    parser.add_argument("--seed", help="of a run (random)")
    parser.add_argument("--only", choices=_KINDS, help="on this database only, then all of the rounds")
    options = parser.parse_args(arguments)
    seed = options.seed or str(SystemRandom().randrange(10**9))
    print(f"seed {seed}", flush=True)
    for kind in (options.only,) if options.only else _KINDS:
        rounds = options.rounds if options.only or kind == "postgresql" else -(-options.rounds // 3)
        folder = Path(tempfile.mkdtemp(prefix="quantized-chaos-"))
        began = time.monotonic()
        try:
            sums = play(kind, folder, seed, rounds)
        except (Broken, AssertionError) as broken:
            print(f"BROKEN (seed {seed}, {kind}): {broken}\n{folder} has the logs", flush=True)
            return 1
        shutil.rmtree(folder)
        print(f"{kind}: nothing found in {time.monotonic() - began:.0f} s; {told(sums)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
