"""`python -m tests.simulation --seed 7 --steps 2000`: the story of one seed, in words."""

import argparse
import sys
import time

from tests.simulation.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="tell the story of this seed")
    parser.add_argument("--seeds", type=int, default=100, help="else: try so many, from --first")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1000, help="steps until it becomes quiet")
    parser.add_argument("--broken", action="append", default=[], help="take a rule out")
    arguments = parser.parse_args()
    broken = frozenset(arguments.broken)
    if arguments.seed is not None:
        one = run(arguments.seed, arguments.steps, broken)
        print("\n".join(one.story))
        print(f"seed {one.seed}: {one.broken or 'all rules held'}")
        return 1 if one.broken else 0
    began, steps, red = time.monotonic(), 0, 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        one = run(seed, arguments.steps, broken)
        steps += one.world.steps
        if one.broken:
            red += 1
            print(f"seed {seed}: {one.broken}", flush=True)
    seconds = time.monotonic() - began
    print(f"{arguments.seeds} seeds, {steps} steps, {red} red, {seconds:.1f} s")
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
