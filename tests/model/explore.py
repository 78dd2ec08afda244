"""Search every world, and every broken one, and say what was found.

.venv/bin/python tests/model/explore.py                the worlds of the tests
.venv/bin/python tests/model/explore.py --deep         larger ones, some minutes
.venv/bin/python tests/model/explore.py --broken       with the shortest traces
.venv/bin/python tests/model/explore.py -k floor       those whose name has it
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model.broken import BROKEN
from model.search import Found, search
from model.setups import BASE, DEEP, made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("-k", default="", metavar="TEXT")
    parser.add_argument("--most", type=int, default=4_000_000, metavar="STATES")
    options = parser.parse_args()
    if options.broken:
        return broken(options.k)
    wrong = states = 0
    for name, setup in (DEEP if options.deep else BASE).items():
        if options.k in name:
            found = search(made(setup), most=options.most)
            show(name, found)
            wrong += bool(found.wrong)
            states += found.states
    print(f"{states:,} states in all, {wrong} worlds in which something is wrong")
    return 1 if wrong else 0


def broken(text: str) -> int:
    missed = 0
    for name, mistake in BROKEN.items():
        if text in name:
            found = search(mistake.world(mistake.setup))
            show(name, found)
            missed += not found.wrong.startswith(mistake.wrong)
    print(f"{missed} mistakes were not found")
    return 1 if missed else 0


def show(name: str, found: Found) -> None:
    print(f"{name}: {found}", flush=True)
    if found.wrong:
        print(f"  {found.wrong}", *found.trace, sep="\n    ", flush=True)


if __name__ == "__main__":
    sys.exit(main())
