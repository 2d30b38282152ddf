"""`python -m simulation`: plays episodes until so many steps were taken, or until a law is broken."""

import argparse
import sys
from random import SystemRandom
from time import monotonic

from simulation.episodes import Episodes


def main(arguments: list[str] | None = None) -> int:
    """0: nothing found; 1: something found, and told."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000, help="at least so many (%(default)s)")
    parser.add_argument("--seed", help="of a run, or SEED:NUMBER for one episode of it (random)")
    parser.add_argument("--trace", action="store_true", help="print every step")
    parser.add_argument(
        "--shrink", action="store_true", help="look for a smaller world with the same failure"
    )
    options = parser.parse_args(arguments)
    seed = options.seed or str(SystemRandom().randrange(10**9))
    print(f"seed {seed}", flush=True)
    began = monotonic()
    with Episodes(tell=print if options.trace else None) as episodes:
        failure = episodes.run(seed, options.steps)
        if failure is not None:
            print(failure)
            if options.shrink:
                print(f"\nsmaller:\n{episodes.shrink(failure)}")
            return 1
    seconds = monotonic() - began
    print(
        f"{episodes.steps} steps in {episodes.played} episodes, nothing found; {seconds:.1f} s, "
        f"{episodes.steps / seconds:.0f} steps/s; trace {episodes.digest[:16]}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
