"""Make the example models and their calibration data in build/models.

    python models/make.py [NAME...]
"""

import sys

import recipes


def main(names: list[str]) -> int:
    """Make these files, or all that are not large; gives the exit code."""
    known = (*recipes.NAMES, *recipes.LARGE_NAMES)
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no recipe for {', '.join(unknown)}; there is one for {', '.join(known)}",
              file=sys.stderr)
        return 2
    for name in names or recipes.NAMES:
        print(recipes.locate(name), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
