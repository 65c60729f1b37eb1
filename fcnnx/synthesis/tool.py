"""A tool that runs as a process of its own, in a folder of its own."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fcnnx.errors import BadInput, Problem


__all__ = ["run", "workplace"]


LOG = "log.txt"
ROOM = 1 << 18  # bytes; a disk that has less is full


@contextlib.contextmanager
def workplace(tool: str, files: Mapping[str, str]) -> Iterator[Path]:
    """A folder with these files, which goes afterwards.

    Raises
    ------
    BadInput
        If it cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="fcnnx-") as work:
            folder = Path(work)
            for name, text in files.items():
                (folder / name).write_text(text)
            yield folder
    except OSError as error:
        raise BadInput(Problem(where=tool, reason=f"Its files cannot be written: "
                               f"{error.strerror or error}.")) from None


def run(tool: str, worker: str, words: Sequence[str], *, folder: Path, where: str,
        timeout: float) -> None:
    """Run a piece of Python in a folder; what it says is kept there.

    Parameters
    ----------
    tool : :class:`str`
        What users call it.
    worker : :class:`str`
        Python, which finds the words in ``sys.argv``.
    words : sequence of :class:`str`
    folder : path
    where : :class:`str`
        What it works on.
    timeout : :class:`float`
        Seconds.

    Raises
    ------
    BadInput
        If it stops or takes too long.
    OSError
        If it stops, and the disk is full.
    """
    with (folder / LOG).open("w") as log:
        try:
            code = subprocess.run([sys.executable, "-P", "-c", worker, *words], cwd=folder,
                                  env=os.environ | {"TMPDIR": str(folder)},
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  timeout=timeout).returncode
        except subprocess.TimeoutExpired:
            raise BadInput(Problem(where=where, reason=f"{tool} did not finish in {timeout:g} "
                                   f"seconds.", remedy="Give it more with --timeout.")) from None
    if code < 0:
        raise BadInput(Problem(where=where, reason=f"{tool} was ended by signal {-code}.",
                               remedy="Is there memory enough?"))
    if code and shutil.disk_usage(folder).free < ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of which tools say other things
    if code:
        raise BadInput(Problem(where=where, reason=f"{tool} failed: {_last_error(folder)}"))


def _last_error(folder: Path) -> str:
    lines = (folder / LOG).read_text(errors="replace").strip().splitlines()
    errors = [line for line in lines if "ERROR" in line] or lines[-1:]
    return " ".join(errors)[:400]
