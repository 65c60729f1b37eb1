"""``python -m fcnnx``, and the program ``fcnnx``."""

import signal
import sys
import warnings

from fcnnx.cli import main as run


__all__ = ["main"]


def main() -> int:
    """Run the command that the program was called with; gives the exit code."""
    if not sys.warnoptions:
        # Amaranth's, of the parts that a build had made when something stopped it.
        warnings.filterwarnings("ignore", message=".* created but never used")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up as Ctrl-C does
    return run()


if __name__ == "__main__":
    sys.exit(main())
