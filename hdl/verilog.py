"""Emission: components to Verilog, each distinct module once."""

import collections
import dataclasses
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Hashable, Iterable
from pathlib import Path

from amaranth import *
from amaranth.back import rtlil
from amaranth.lib import wiring


__all__ = ["EmissionError", "Once", "emit", "identifier", "unique_identifiers",
           "written_modules"]


# The start of a string parameter that names a file: what stands for the FILE of the module that
# the string is in, until its text is Verilog.
FILE = "@FILE@"

# Verilator puts each instance of a module in its place, unless told otherwise. For a module of
# which there are as many as these it need not: 480 multipliers compiled in 11 s instead of 28, and
# ran as fast.
APART = 4

# Modules that are written in Verilog, beside this file: memory, whose contents and style are
# parameters, and a multiplier that Amaranth takes long to put together.
WRITTEN = ("memory", "lut_product")

# Yosys ends its process where it finds an error, and says much: it has one of its own.
YOSYS = """\
import sys
from pyosys import libyosys
libyosys.run_pass("script " + sys.argv[1], libyosys.Design())
"""

# Amaranth gives what one name of a signal asks for to all its names: streams, which are kept by
# name, also have those of the ports that they connect.
SCRIPT = """\
read_rtlil modules.il
setattr -unset keep w:*$* w:[io]__* w:[io]_[0-9]*__*
proc -norom
opt_clean -purge
opt_expr
opt_dff
pmuxtree
memory_collect
opt_clean -purge
setattr -unset keep w:*
write_verilog modules.v
"""


class EmissionError(Exception):
    """Yosys did not take what Amaranth gave."""


def identifier(text: str, longest: int = 60) -> str:
    """A name for Verilog and for files: ASCII letters, digits, single underscores inside, no
    leading digit. A long one is cut, and ends in a digest of the whole."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    if not name or name[0].isdigit():
        name = f"n{name}"
    if len(name) > longest:
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        name = f"{name[:longest - 9].rstrip('_')}_{digest}"
    return name


def unique_identifiers(texts: Iterable[str], longest: int = 60) -> list[str]:
    """An :func:`identifier` for each; a second of the same name gets ``_2``, a third ``_3``."""
    names: list[str] = []
    for text in texts:
        names.append(_free(identifier(text, longest), names))
    return names


def _free(name: str, taken) -> str:
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmittedModule:
    """A module that has been converted.

    Parameters
    ----------
    name : :class:`str`
        Of the module.
    rtlil : :class:`str`
        Its text, and that of the submodules that are its own.
    ports : names, each with whether it is an input
    submodules : names
        Those of the text, its own first.
    has_file : :class:`bool`
        Whether something in it reads a file: the module has a parameter ``FILE``.
    """

    name: str
    rtlil: str
    ports: tuple[tuple[str, bool], ...]
    submodules: tuple[str, ...]
    has_file: bool


class Emission:
    """The platform under which components become modules.

    Parameters
    ----------
    reserved : names that no module may have
    contents : :class:`bool`
        Whether memories start with what they hold; else they are loaded.
    """

    def __init__(self, reserved: Iterable[str] = (), *, contents: bool = True):
        self.contents = contents
        self._taken = set(reserved)
        self._by_key: dict[Hashable, EmittedModule] = {}
        self._by_text: dict[str, EmittedModule] = {}

    @property
    def modules(self) -> list[EmittedModule]:
        """The modules, those that are in others first."""
        return list(self._by_text.values())

    def convert(self, component: wiring.Component, *, key: Hashable, name: str) -> EmittedModule:
        """The module of a component; one for all that have the same key, or come out the same."""
        if key in self._by_key:
            component._MustUse__silence = True  # it was made for its type
            return self._by_key[key]
        text = rtlil.convert(component, name=name, platform=self, emit_src=False)
        if text not in self._by_text:
            self._by_text[text] = self._module(text, name)
        self._by_key[key] = self._by_text[text]
        return self._by_key[key]

    def _module(self, text: str, name: str) -> EmittedModule:
        text = _clean(text)
        names = {name: _free(name, self._taken)}
        for own in re.findall(r"^module \\(\S+)$", text, re.MULTILINE):
            if own != name:  # NAME.SUBMODULE
                names[own] = _free((names[name] + own.removeprefix(name)).replace(".", "_"),
                                   self._taken)
            self._taken.add(names[own])
        text = re.sub(r"^(module|  cell) \\(\S+)",
                      lambda match: f"{match[1]} \\{names.get(match[2], match[2])}", text,
                      flags=re.MULTILINE)
        text = _pass_files(text)
        ports = re.findall(
            r"^  wire width \d+ (?:signed )?(input|output) \d+ +(?:signed )?\\(\S+)$",
            text[:text.index("\nend\n")], re.MULTILINE)
        return EmittedModule(name=names[name], rtlil=text,
                             ports=tuple((port, kind == "input") for kind, port in ports),
                             submodules=tuple(names.values()), has_file=FILE in text)


def _clean(text: str) -> str:
    """Without marks, and without the further names that Amaranth gives to elements of arrays."""
    text = re.sub(r"^attribute \\(generator|top) .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"(?:^  attribute .*\n)*^  wire width \d+ (?:signed )?\\\S*\[\S*\n\n?", "", text,
                  flags=re.MULTILINE)
    text = re.sub(r"^connect \\\S*\[\S* .*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"\\port\$(\d+)\$(\d+)", r"\\port_\1_\2", text)


def _pass_files(text: str) -> str:
    """Give FILE to each submodule of the text that reads files, or has one that does."""
    parts = re.split(r"^(?=module )", text, flags=re.MULTILINE)
    for index in range(len(parts) - 1, 0, -1):  # a module comes before its submodules
        if f'"{FILE}' in parts[index]:
            name = re.escape(parts[index].split(maxsplit=2)[1])
            parts = [re.sub(rf"^(  cell {name} .*\n)",
                            lambda match: f'{match[1]}    parameter \\FILE "{FILE}"\n', part,
                            flags=re.MULTILINE) for part in parts]
    return "".join(parts)


class Once(wiring.Component):
    """A component that is emitted once, however often it is in a design; in a simulation by
    Amaranth it is what it holds.

    Parameters
    ----------
    component : :class:`wiring.Component`
        With at most the clock domain ``sync``.
    key : hashable
        The same for components that are equal; those of other keys that come out the same share
        their module as well.
    name : :class:`str`
        Of the module; the next one of this name gets ``_2``. Not a word of Verilog.
    file : :class:`str`
        What is appended to the FILE parameter of the module around it for the memory files in it.
    reset : :class:`Value` or None
        A bit that resets it, beside the reset of the domain.

    Members
    -------
    The component's.
    """

    def __init__(self, component: wiring.Component, *, key: Hashable, name: str, file: str = "",
                 reset: Value | None = None):
        self._reset = reset
        self._component = component
        self._key = key
        self._name = name
        self._file = file
        super().__init__(component.signature)

    def elaborate(self, platform):
        if not isinstance(platform, Emission):
            m = Module()
            held = self._component if self._reset is None else (
                ResetInserter(self._reset)(self._component))
            m.submodules.component = held
            wiring.connect(m, wiring.flipped(self), self._component)
            return m
        module = platform.convert(self._component, key=self._key, name=self._name)
        values = {"clk": ClockSignal(), "rst": ResetSignal() if self._reset is None
                  else ResetSignal() | self._reset}
        for path, _, value in self.signature.flatten(self):
            values["__".join(map(str, path))] = Value.cast(value)
        ports = {f"{'i' if is_input else 'o'}_{port}": values[port]
                 for port, is_input in module.ports}
        if module.has_file:
            ports["p_FILE"] = f"{FILE}{self._file}"
        return Instance(module.name, **ports)


def emit(component: wiring.Component, *, name: str, file: str = "", contents: bool = True,
         reserved: Iterable[str] = WRITTEN) -> dict[str, str]:
    """Verilog of a component and of all that it is made of, by module.

    Parameters
    ----------
    component : :class:`wiring.Component`
    name : :class:`str`
        Of the module.
    file : :class:`str`
        Start of the names of the files that its memories read.
    contents : :class:`bool`
        Whether they read any; else they are loaded.
    reserved : names
        Modules that come from elsewhere.

    Raises
    ------
    EmissionError
        If Yosys refuses the modules.
    """
    emission = Emission(reserved, contents=contents)
    top = emission.convert(component, key=component, name=name)
    assert top.name == name, f"{name} is the name of something else, too"
    rtlil_text = "".join(module.rtlil for module in emission.modules)
    written = _to_verilog(rtlil_text)
    instances = collections.Counter(re.findall(r"^  cell \\(\S+)", rtlil_text, re.MULTILINE))
    texts = {}
    for module in emission.modules:
        parts = [_finish(written[own], file if own == name else None)
                 for own in module.submodules]
        if instances[module.name] >= APART:
            parts[0] = parts[0].replace(");", ");\n  /*verilator no_inline_module*/", 1)
        texts[module.name] = "\n".join(parts)
    return texts


def written_modules(texts: Iterable[str]) -> dict[str, str]:
    """The modules that are written in Verilog and that these texts instance, by name."""
    used = set(re.findall(r"^ *(\w+) ", "\n".join(texts), re.MULTILINE))
    return {name: Path(__file__).with_name(f"{name}.v").read_text()
            for name in WRITTEN if name in used}


def _to_verilog(text: str) -> dict[str, str]:
    """Modules in RTLIL as Verilog, by name."""
    with tempfile.TemporaryDirectory(prefix="fcnnx-") as name:
        folder = Path(name)
        (folder / "modules.il").write_text(text)
        (folder / "script.ys").write_text(SCRIPT)
        done = subprocess.run([sys.executable, "-P", "-c", YOSYS, "script.ys"], cwd=folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()
            errors = [line for line in said if line.startswith("ERROR")] or said[-1:]
            raise EmissionError(f"Yosys failed: {' '.join(errors)}")
        verilog = (folder / "modules.v").read_text()
    parts = re.findall(r"^module .*?^endmodule\n", verilog, re.MULTILINE | re.DOTALL)
    return {part.split("(")[0].split()[1].lstrip("\\"): part for part in parts}


def _finish(text: str, file: str | None = None) -> str:
    """With the parameter for files, or the start of their names where they are known."""
    if f'"{FILE}' not in text:
        return text
    if file is not None:
        return text.replace(f'"{FILE}', f'"{file}')
    text = re.sub(rf'"{FILE}([^"]*)"',
                  lambda match: f'{{FILE, "{match[1]}"}}' if match[1] else "FILE", text)
    return text.replace("(", '#(parameter FILE = "") (', 1)
