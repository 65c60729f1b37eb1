"""Files of an accelerator: Verilog and memory contents."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fcnnx.hdl import verilog
from fcnnx.hdl.accelerator import Accelerator


__all__ = ["generate", "memory_files", "write_design"]


TOP = "accelerator"


def generate(accelerator: Accelerator, folder: Path) -> None:
    """Write the design into ``folder/rtl``, one file for each module and each memory.

    The same accelerator always gives the same bytes. A simulator runs with ``rtl`` as its working
    folder, where the names of memory files hold.
    """
    write_design(Path(folder) / "rtl", verilog.emit(accelerator.create(), name=TOP),
                 memory_files(accelerator))


def write_design(rtl: Path, modules: Mapping[str, str],
                 memories: Iterable[tuple[str, int, list[int]]]) -> None:
    """Write modules, by name, and memories, as :func:`memory_files` gives them, into a new
    folder."""
    rtl.mkdir(parents=True)
    for name, text in {**modules, **verilog.written_modules(modules.values())}.items():
        (rtl / f"{name}.v").write_text(text)
    for name, width, words in memories:
        digits = math.ceil(width / 4)
        (rtl / name).write_text("".join(f"{word:0{digits}x}\n" for word in words))


def memory_files(accelerator: Accelerator) -> Iterator[tuple[str, int, list[int]]]:
    """Name, bits of a word, and words of each memory that has contents."""
    for engine in accelerator.engines:
        files = engine.file_names
        for stage in engine.stages:
            for suffix, (width, words) in stage.operator.contents().items():
                yield f"{engine.name}{files[stage.name]}{suffix}", width, words
