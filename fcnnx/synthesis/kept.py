"""Results of Yosys, kept by the digest of what they were made from."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from fcnnx.cosim.cache import digest


__all__ = ["kept"]


Result = tuple[dict[str, int], int | None]


def kept(parts: Iterable[str], make: Callable[[], Result]) -> Result:
    """Cells and longest path that were made from these, or are now.

    What cannot be kept, as the disk is full, is made again the next time.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fcnnx"
    path = folder / "synthesis" / f"{digest(parts)}.json"
    try:
        found = json.loads(path.read_text())
        return found["cells"], found["path"]
    except (OSError, ValueError, KeyError, TypeError):
        cells, length = make()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump({"cells": cells, "path": length}, file)
        os.replace(file.name, path)
    return cells, length
