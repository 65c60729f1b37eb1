"""Files of an accelerator: Verilog, memory contents, and what a host must know."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from fcnnx.hdl import verilog
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.memory.packing import pack_frames
from fcnnx.hdl.registers import c_header, markdown


__all__ = ["IMAGE", "generate", "memory_files", "weight_images", "write_design"]


TOP = "accelerator"
IMAGE = "dram.bin"


def generate(accelerator: Accelerator, folder: Path, digest: str = "0" * 64) -> None:
    """Write the design into ``folder/rtl``, one file for each module and each memory.

    The same accelerator always gives the same bytes. A simulator runs with ``rtl`` as its working
    folder, where the names of memory files hold. With a memory, its image and its registers are
    beside it, and memories on the chip are loaded from there.

    Parameters
    ----------
    accelerator : :class:`Accelerator`
    folder : path
    digest : :class:`str`
        Of the plan, 64 hexadecimal digits: what registers tell the design by.
    """
    folder = Path(folder)
    memory = accelerator.memory
    modules = verilog.emit(accelerator.create(digest), name=TOP, contents=memory is None)
    write_design(folder / "rtl", modules, [] if memory else memory_files(accelerator))
    if memory is not None:
        (folder / IMAGE).write_bytes(b"".join(weight_images(accelerator).values()))
        registers = memory.registers(digest)
        (folder / "registers.h").write_text(c_header(registers))
        (folder / "registers.md").write_text(markdown(registers))


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


def weight_images(accelerator: Accelerator) -> dict[str, bytes]:
    """What lies behind the base address of each engine's weights, by engine; whole pages."""
    memory = accelerator.memory
    assert memory is not None
    images = {}
    for engine, streams in zip(accelerator.engines, memory.engines, strict=True):
        image = bytearray(memory.weight_bytes(streams))
        shapes, frames = dict(engine.inputs), engine.weight_frames
        for each in streams.of_kind("weights"):
            packed = pack_frames(shapes[each.stream], memory.axi.data_width, each.words,
                                 frames[each.stream][None])
            image[each.offset:each.offset + packed.size] = packed.tobytes()
        for each in streams.of_kind("load"):
            words = np.array(engine.load_words, dtype="<u4").tobytes()
            image[each.offset:each.offset + len(words)] = words
        images[engine.name] = bytes(image)
    return images
