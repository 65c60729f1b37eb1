"""Every figure of RESULTS.md, measured: ``make bench``.

    PYTHONPATH=models:benchmarks python benchmarks/bench.py [NAME...]

Each case builds, simulates and synthesises through the command line, as a user would. What a part
of it gave is kept in ``results/NAME.json`` with the digest of what it was made from, and is not
measured again from the same: a build from the sources, a simulation from the Verilog and the
sources that simulate it. Stop it at any time, and start it again.
"""

import argparse
import fnmatch
import pathlib

from cases import Case, Faces, rows_of_the_peer, several
from clock import clocks
from contention import contention
from costs import costs
from isolation import isolation
from keeping import Record, Stale
from planning import plannings
from systems import systems
from tables import write_results


CASES: tuple[Case, ...] = (*several(), Faces(), *rows_of_the_peer(), *clocks(), *costs(),
                           *systems(), *isolation(), *contention(), *plannings())


def main() -> None:
    """Measure what is asked for, or everything; write RESULTS.md from all that is kept."""
    known = {case.name: case for case in CASES}
    parser = argparse.ArgumentParser(description="Measure every figure of RESULTS.md.")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="cases, or patterns of their names; all where none is named")
    parser.add_argument("--write", action="store_true",
                        help="measure nothing: write RESULTS.md from what is kept")
    given = parser.parse_args()
    chosen = [name for name in known
              if not given.names or any(fnmatch.fnmatch(name, word) for word in given.names)]
    unknown = [word for word in given.names if not fnmatch.filter(known, word)]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(known)}")
    for name in [] if given.write else chosen:
        print(name, flush=True)
        known[name].measure(Record(name))
    kept = {name: Record(name).parts for name in known}
    write_results(pathlib.Path(__file__).with_name("RESULTS.md"),
                  {name: parts for name, parts in kept.items() if parts},
                  stale=[name for name in known if kept[name] and _is_stale(known[name])])


def _is_stale(case: Case) -> bool:
    """Whether a part of a case was measured on other sources than the present ones."""
    try:
        case.measure(Record(case.name, measuring=False))
    except Stale:
        return True
    return False


if __name__ == "__main__":
    main()
