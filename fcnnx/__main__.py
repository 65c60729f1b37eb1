"""``python -m fcnnx``, and the program ``fcnnx``."""

import signal
import sys

from fcnnx.cli import main as run


__all__ = ["main"]


def main() -> int:
    """Run the command that the program was called with; gives the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up as Ctrl-C does
    return run()


if __name__ == "__main__":
    sys.exit(main())
