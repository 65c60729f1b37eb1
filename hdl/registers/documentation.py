"""The page on the registers, of an accelerator that has one of everything.

    python -m fcnnx.hdl.registers.documentation > docs/registers.md
"""

import sys

from ..memory.axi import Axi
from ..memory.control import NetworkControl, Transfer
from .accelerator import accelerator_registers
from .text import markdown


__all__ = ["document"]


HEAD = """\
# Registers

Where frames cross a memory a host drives the accelerator over AXI4-Lite, 32 bits of data. This page
is made by `python -m fcnnx.hdl.registers.documentation`, from the description that the hardware is
made of, here for one port of the memory and one network of one input and one output, each with two
buffers; a build has a table and a C header of its own. Blocks of further ports and networks follow
at `PORT_STRIDE` and `NETWORK_STRIDE` bytes.

Addresses without a register, and writes to a register in which nothing can be written, are answered
with SLVERR. Writes count by the byte. Reading the lower word of 64 bits that the hardware changes
latches the upper one: read the lower one first.

A network is started like this:

1. Write all base addresses; 0 is no address. An input or output has a ring of buffers, a power of
   two: as many as the engine has frames in it at once, and more for the host. Frame k is in buffer
   k modulo their number.
2. Put frames into the input's buffers, and write how many there are in all to `released`. That also
   says that the output's buffers of these frames may be written: as many frames as there are
   buffers, at most, beyond those whose outputs have been taken.
3. Write `start`. The weights on chip are loaded first, unless they have been since the reset.
4. When `done` has gone up (or the interrupt came), take the outputs, refill the inputs' buffers,
   and raise `released`.

After `stop`, or an error that the memory reports, no further frame begins, and `running` ends when
those that have begun are done. Then `start` goes on with the next frame, and `clear` begins anew
with frame 0.

"""


def document() -> str:
    """The text of the page."""
    axi = Axi(data_width=64)
    network = NetworkControl(
        name="a", axi=axi, inputs=(Transfer(name="the input", bursts=1),),
        outputs=(Transfer(name="the output", bursts=1),), load=Transfer(name="weights", bursts=1))
    return HEAD + markdown(accelerator_registers((network,), (axi,), "0" * 64))


if __name__ == "__main__":
    sys.stdout.write(document())
