"""What cases gave, kept part by part with the digest of what it was made from."""

import hashlib
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fcnnx.cosim.cache import digest


__all__ = ["KEPT", "ROOT", "Figures", "Record", "Stale", "digest_of_folder", "digest_of_sources",
           "fcnnx", "read", "refusal"]

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
KEPT = HERE / "results"
SOURCES = (".py", ".v", ".cpp", ".h", ".txt", ".mk")
Figures = dict[str, Any]


class Stale(Exception):
    """A part would have to be measured."""


class Record:
    """What is kept of one case, in ``results/NAME.json``.

    Parameters
    ----------
    name : :class:`str`
        Of the case.
    measuring : :class:`bool`
        Whether parts that are not there may be measured.
    """

    def __init__(self, name: str, *, measuring: bool = True):
        self.name = name
        self._measuring = measuring
        self._path = KEPT / f"{name}.json"
        self.parts: dict[str, Figures] = (
            read(self._path).get("parts", {}) if self._path.exists() else {})

    def part(self, name: str, made_of: Iterable[str], make: Callable[[], Figures]) -> Figures:
        """A part's figures: those that are kept, if they were made from the same, or else anew.

        Each is written as soon as it is there, with its digest, the tree and the machine that it
        was measured on.

        Raises
        ------
        Stale
            If it would have to be measured, and may not.
        """
        key = digest(made_of)
        if self.parts.get(name, {}).get("digest") != key:
            if not self._measuring:
                raise Stale(name)
            print(f"{self.name}: {name}: measuring", flush=True)
            self.parts[name] = {"digest": key, "tree": _tree(), "machine": f"{os.cpu_count()} "
                                f"cores, Python {platform.python_version()}"} | make()
            self._write()
        return self.parts[name]

    def _write(self) -> None:
        KEPT.mkdir(exist_ok=True)
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps({"parts": self.parts}, indent=1) + "\n")
        written.replace(self._path)


def fcnnx(*words: str, environment: dict[str, str] | None = None,
          codes: tuple[int, ...] = (0,)) -> float:
    """Run a command of ours, which must end with one of these codes; returns its seconds."""
    return _timed(words, codes, environment=environment)[0]


def refusal(*words: str) -> tuple[float, list[str]]:
    """The seconds until a command of ours refuses what it is given, and what it then says."""
    seconds, said = _timed(words, (2,), stderr=subprocess.PIPE, text=True)
    return seconds, [line.removeprefix("error: ") for line in said.splitlines()
                     if line.startswith("error: ")]


def _timed(words: Iterable[str], codes: tuple[int, ...], *,
           environment: dict[str, str] | None = None, **options: Any) -> tuple[float, str]:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "fcnnx", *words], cwd=ROOT, env=environment,
                          stdout=subprocess.DEVNULL, **options)
    if done.returncode not in codes:
        sys.exit(f"fcnnx {' '.join(words)}: exit code {done.returncode}")
    return round(time.monotonic() - start, 1), done.stderr


def read(path: pathlib.Path) -> Figures:
    """What a JSON file holds."""
    return json.loads(path.read_text())


def digest_of_folder(folder: pathlib.Path) -> str:
    """Of all bytes of all files in it."""
    return digest(part for path in sorted(folder.iterdir())
                  for part in (path.name, path.read_bytes()))


def digest_of_sources(*paths: str, without: tuple[str, ...] = ()) -> str:
    """Of files, and of all sources in folders; all of it by paths from the root."""
    total = hashlib.sha256()
    for path in _sources(paths, {ROOT / name for name in without}):
        total.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return total.hexdigest()[:32]


def _sources(paths: Iterable[str], without: set[pathlib.Path]) -> Iterator[pathlib.Path]:
    for name in paths:
        start = ROOT / name
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            if path.suffix in SOURCES and not without & {path, *path.parents}:
                yield path


def _tree() -> str:
    """The commit, and whether files differ from it that figures could depend on."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "fcnnx", "hdl", "boards", "models", "benchmarks",
                   ":!benchmarks/results", ":!benchmarks/*.md")
    return f"{commit} and changes" if changed else commit or "no commit"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()
