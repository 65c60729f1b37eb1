"""Which part may import which: imports go one way, as docs/decisions/0001 says."""

import ast
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

import fcnnx


PACKAGE = pathlib.Path(fcnnx.__file__).parent
PARTS = sorted(path.name for path in PACKAGE.iterdir()
               if path.is_dir() and (path / "__init__.py").exists())

# What a part of fcnnx never needs: who decides does not see who builds, and nobody sees ONNX
# but the frontend.
FORBIDDEN = {
    "hdl": {"fcnnx", "onnx", "onnx_ir", "onnxruntime", "onnxslim"},
    "boards": {"fcnnx", "onnx", "onnx_ir", "onnxruntime", "onnxslim"},
    "frontend": {"fcnnx.optimizer", "fcnnx.cosim", "fcnnx.report", "fcnnx.runtime",
                 "fcnnx.generate", "fcnnx.plan", "fcnnx.cli"},
    "optimizer": {"fcnnx.frontend", "fcnnx.cosim", "fcnnx.report", "fcnnx.runtime",
                  "fcnnx.generate", "fcnnx.cli"},
    "cosim": {"fcnnx.frontend", "fcnnx.optimizer", "fcnnx.report", "fcnnx.cli"},
    "report": {"fcnnx.frontend", "fcnnx.optimizer", "fcnnx.cosim", "fcnnx.cli"},
}
ALLOWED = {"boards": {"fcnnx.hdl", "fcnnx.errors"}}
ONNX = {"onnx", "onnx_ir", "onnxslim"}


def imports(path: pathlib.Path) -> Iterator[str]:
    """Absolute names of everything that a file of the package imports, wherever it does so."""
    # The name through the links: hdl is fcnnx.hdl.
    module = ("fcnnx", *path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(module[:-node.level]) if node.level else ""
            base = ".".join(filter(None, (start, node.module)))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def files(part: str = "") -> list[pathlib.Path]:
    return [path for folder in ([part] if part else PARTS)
            for path in sorted((PACKAGE / folder).rglob("*.py"))] + (
                [] if part else sorted(PACKAGE.glob("*.py")))


def within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


def breaches(part: str, names: Iterator[str]) -> list[str]:
    """Imports that the part may not have; its own files are always allowed."""
    def forbidden(name: str) -> bool:
        allowed = {f"fcnnx.{part}", *ALLOWED.get(part, ())}
        if name == "fcnnx" or any(within(name, parent) for parent in allowed):
            return False
        return any(within(name, parent) for parent in FORBIDDEN[part])
    return sorted(filter(forbidden, names))


def test_every_part_is_looked_at():
    assert {"hdl", "boards", "frontend", "optimizer", "cosim", "report"} <= set(PARTS)
    assert len(files()) > 20


@pytest.mark.parametrize("part", FORBIDDEN)
def test_imports_go_one_way(part):
    assert {str(path.relative_to(PACKAGE)): names for path in files(part)
            if (names := breaches(part, imports(path)))} == {}


def test_only_the_frontend_knows_onnx():
    assert [str(path.relative_to(PACKAGE)) for path in files()
            if path.relative_to(PACKAGE).parts[0] != "frontend"
            and any(within(name, banned) for name in imports(path) for banned in ONNX)] == []


def test_no_top_level_hdl_or_boards():
    assert [str(path.relative_to(PACKAGE)) for path in files()
            if any(within(name, banned) for name in imports(path)
                   for banned in ("hdl", "boards"))] == []


def test_a_breach_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "hdl").mkdir()
    source = tmp_path / "hdl" / "breach.py"
    source.write_text("from .. import plan\n\ndef f():\n    import onnx.helper\n")
    assert breaches("hdl", imports(source)) == ["fcnnx.plan", "onnx.helper"]


def test_importing_the_package_does_no_work():
    """Importing fcnnx.hdl runs it: it must not bring in what only the toolflow needs."""
    program = "import sys, fcnnx; print(*sorted(name for name in sys.modules if '.' not in name))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                            check=True).stdout.split()
    assert not {"numpy", "amaranth", "onnx", "onnxruntime", "ortools", "cyclopts", "rich"} & {
        *loaded}
