"""Do 95 % intervals hold the true value in 95 of 100 test sets, and are claims wrong as rarely as they say?

    python benchmarks/coverage.py [intervals] [--trials N] [--draws B] [--only NAME] [--output FILE] [--table]

Test sets are simulated: 2 to 100 groups, with and without correlation within groups, of equal and of unequal sizes. The
figures go to benchmarks/coverage.json, a case at a time; `--table` prints what the file holds for benchmarks/README.md.

intervals  every statistic that prints an interval, and every difference, beside the percentile bootstrap
claims     differences that the file says are claimed too often where there are none, in other test sets
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
RESULTS = BENCHMARKS / "coverage.json"
PARTS = ("intervals", "claims")
PACKAGES = ("numpy", "scipy", "scikit-learn")


def runner(part: str, known: Path) -> Callable[[int, int, str], Iterator[tuple[str, dict[str, Any]]]]:
    """What runs `part`, with what the file `known` holds; imported here, because the path must be set first."""
    import coverage_intervals

    def claims(trials: int, _: int, only: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return coverage_intervals.claims(trials, only, known_cases(known, "intervals"))

    return {"intervals": coverage_intervals.run, "claims": claims}[part]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=(*PARTS, "all"), default="all")
    parser.add_argument("--trials", type=int, default=2000, help="simulated test sets of each kind")
    parser.add_argument(
        "--draws", type=int, default=300, help="of the bootstrap, in a fifth of the trials; 0 keeps its figures"
    )
    parser.add_argument("--only", default="", help="what the names of statistics must hold; the others' figures stay")
    parser.add_argument("--output", type=Path, help=f"where the figures go; else {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--table", action="store_true", help="print the file's figures, and simulate nothing")
    arguments = parser.parse_args()
    sys.path[:0] = map(str, (BENCHMARKS, ROOT / "platform", ROOT / "models"))
    target = arguments.output or RESULTS
    if arguments.table:
        import coverage_intervals

        print(coverage_intervals.table(known_cases(target, "intervals")))
        print(coverage_intervals.places(known_cases(target, "intervals")))
        return
    from coverage_intervals import with_bootstrap
    from quality import described, record

    for part in PARTS if arguments.part == "all" else (arguments.part,):
        started = time.monotonic()
        command = f"python benchmarks/coverage.py {part} --trials {arguments.trials} --draws {arguments.draws}"
        for name, figures in runner(part, target)(arguments.trials, arguments.draws, arguments.only):
            known = known_cases(target, part)
            cases = known | {name: with_bootstrap(figures, known.get(name, {})) if part == "intervals" else figures}
            record(target, part, described(command, PACKAGES, started) | {"cases": cases}, PARTS)
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


def known_cases(path: Path, part: str) -> dict[str, Any]:
    """What the file holds of a part, by the name of the case."""
    results = json.loads(path.read_text()) if path.exists() else {}
    cases: dict[str, Any] = results.get(part, {}).get("cases", {})
    return cases


if __name__ == "__main__":
    main()
