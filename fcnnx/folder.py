"""Build folders: written whole or not at all, by one process, and checked before they are used."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import TextIO

from fcnnx.errors import BadInput, Problem


__all__ = ["MANIFEST", "check_target", "in_use", "json_text", "new_build", "read_build", "rewrite",
           "verify", "write_json"]

MANIFEST = "manifest.json"
_KIND = "fcnnx build"


def json_text(content: object) -> str:
    """What a JSON file of ours holds."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def write_json(path: pathlib.Path, content: object) -> None:
    """Write a JSON file in one step."""
    _replace({path: json_text(content)})


def _replace(texts: Mapping[pathlib.Path, str]) -> None:
    """Write files, or leave all of them as they are: a full disk shows before any is replaced."""
    partial = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in texts}
    try:
        for path, text in texts.items():
            partial[path].write_text(text, encoding="utf-8")
        for path, written in partial.items():
            written.replace(path)
    finally:
        for written in partial.values():
            written.unlink(missing_ok=True)


@contextlib.contextmanager
def in_use(folder: pathlib.Path, *, writing: bool) -> Iterator[None]:
    """Keep a build folder for this process: alone where it writes, beside other readers elsewhere.

    Raises
    ------
    BadInput
        If another process has it.
    """
    path = folder.parent / f".{folder.name}.lock"
    while True:
        with _open(path, folder) as file:
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if writing else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BadInput(Problem(
                    where=str(folder), reason="Another fcnnx process is using this folder.",
                    remedy="Wait for it, or choose another folder.")) from None
            if not _is_same(path, file.fileno()):
                continue  # its last user removed it between our opening and locking it
            try:
                yield
            finally:
                with contextlib.suppress(BlockingIOError):
                    # Only the last user may remove it.
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink(missing_ok=True)
            return


def _open(lock: pathlib.Path, folder: pathlib.Path) -> TextIO:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return lock.open("a")
    except OSError as error:
        raise _unwritable(folder, error) from None


def _is_same(path: pathlib.Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def check_target(folder: pathlib.Path, *, force: bool) -> list[Problem]:
    """What forbids to write a build here; nothing where the list is empty."""
    where = str(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        return [Problem(where=where, reason="The output folder is a file or a link.",
                        remedy="Choose another with --out.")]
    if not folder.exists() or not any(folder.iterdir()):
        return []
    if not _is_build(folder):
        return [Problem(where=where, reason="The output folder is not empty, and no fcnnx build.",
                        remedy="Choose another with --out.")]
    if not force:
        return [Problem(where=where, reason="The output folder holds a build already.",
                        remedy="Replace it with --force, or choose another with --out.")]
    return []


def _is_build(folder: pathlib.Path) -> bool:
    try:
        return json.loads((folder / MANIFEST).read_text())["kind"] == _KIND
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def new_build(folder: pathlib.Path, *, force: bool) -> Iterator[pathlib.Path]:
    """A folder to fill, which takes its place in one rename at the end, or vanishes.

    Nobody else may use it: see :func:`in_use`.

    Raises
    ------
    BadInput
        If the place is taken, or cannot be written to.
    """
    try:
        partial = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.",
                                                suffix=".partial"))
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        filled = partial / "build"
        filled.mkdir()
        yield filled
        _write_manifest(filled)
        if problems := check_target(folder, force=force):
            raise BadInput(*problems)
        _take_place(filled, folder, partial / "old")
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _take_place(filled: pathlib.Path, folder: pathlib.Path, old: pathlib.Path) -> None:
    """Rename, and put back what was there should anything stop it half-way."""
    if folder.exists():
        folder.replace(old)
    try:
        filled.replace(folder)
    except BaseException:
        if old.exists():
            old.replace(folder)
        raise


def _unwritable(folder: pathlib.Path, error: OSError) -> BadInput:
    return BadInput(Problem(where=str(folder), reason=f"The folder cannot be written to: "
                            f"{error.strerror or error}.", remedy="Choose another."))


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(folder: pathlib.Path) -> None:
    files = {str(path.relative_to(folder)): _digest(path)
             for path in sorted(folder.rglob("*")) if path.is_file()}
    write_json(folder / MANIFEST, {"kind": _KIND, "files": files})


def rewrite(folder: pathlib.Path, texts: Mapping[str, str]) -> None:
    """Replace files of a build by name, and their digests with them.

    Raises
    ------
    BadInput
        If there is no build, or the files cannot be written; all are as they were then.
    """
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    with _consistent(folder, writing=True):
        files = {**read_build(folder), **digests}
        manifest = json_text({"kind": _KIND, "files": dict(sorted(files.items()))})
        try:
            _replace({folder / name: text for name, text in texts.items()}
                     | {folder / MANIFEST: manifest})
        except OSError as error:
            raise _unwritable(folder, error) from None


@contextlib.contextmanager
def _consistent(folder: pathlib.Path, *, writing: bool) -> Iterator[None]:
    """Wait until files and digests of a build are those of one moment, and keep them so."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield  # there is no build, and whoever reads it says so
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if writing else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def read_build(folder: pathlib.Path) -> dict[str, str]:
    """The digests of a build's files, by name.

    Raises
    ------
    BadInput
        If there is no build.
    """
    if not folder.exists():
        raise BadInput(Problem(where=str(folder), reason="There is no such folder."))
    if not _is_build(folder):
        raise BadInput(Problem(where=str(folder), reason="This is not a build of fcnnx.",
                               remedy="Make one with fcnnx build."))
    return json.loads((folder / MANIFEST).read_text()).get("files", {})


def verify(folder: pathlib.Path) -> None:
    """Hold every file of a build against the digest that it was written with.

    Raises
    ------
    BadInput
        If there is no build, or files of it are missing or edited: all of them.
    """
    problems = []
    remedy = "Build it again with --force."
    with _consistent(folder, writing=False):
        for name, digest in read_build(folder).items():
            path = folder / name
            if not path.is_file():
                problems.append(Problem(where=str(path), remedy=remedy,
                                        reason="This file of the build is missing."))
            elif _digest(path) != digest:
                problems.append(Problem(where=str(path), remedy=remedy, reason="This file of the "
                                        "build was edited, or is that of another."))
    if problems:
        raise BadInput(*problems)
