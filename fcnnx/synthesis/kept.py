"""Results of the tools, kept by the digest of what they were made from."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fcnnx.cosim.cache import digest


__all__ = ["kept"]


def kept(parts: Iterable[str], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was made from these, as JSON has it, or is now.

    What cannot be kept, as the disk is full, is made again the next time.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fcnnx"
    path = folder / "synthesis" / f"{digest(parts)}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        found = make()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(found, file)
        os.replace(file.name, path)
    return found
