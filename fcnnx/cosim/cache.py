"""Compiled simulators, kept by the digest of what they were made from."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


__all__ = ["cached", "digest"]


LARGEST = 1 << 30  # bytes of all together


def digest(parts: Iterable[str | bytes]) -> str:
    """A name for what has been made from these."""
    total = hashlib.sha256()
    for part in parts:
        part = part.encode() if isinstance(part, str) else part
        total.update(f"{len(part)}:".encode() + part)
    return total.hexdigest()[:32]


def cached(name: str, make: Callable[[Path], Path]) -> Path:
    """The file of this name; made by ``make``, in an empty folder, where there is none.

    It appears in one rename, so that others never see half of it. The files that have not been
    used for the longest go where all together are too large.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fcnnx"
    folder /= "simulators"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    try:
        os.utime(path)
    except FileNotFoundError:
        with tempfile.TemporaryDirectory(dir=folder, prefix="making-") as work:
            os.replace(make(Path(work)), path)
        _trim(folder, path)
    return path


def _trim(folder: Path, keep: Path) -> None:
    entries = sorted(((entry.stat().st_mtime, entry.stat().st_size, entry.path)
                      for entry in os.scandir(folder) if entry.is_file()), reverse=True)
    total = 0
    for _, size, path in entries:
        total += size
        if total > LARGEST and path != str(keep):
            Path(path).unlink(missing_ok=True)
