"""An engine whose outputs nothing takes for a while: a disturbance that is made in its design."""

import re
from pathlib import Path


__all__ = ["block_outputs"]


TOP = "accelerator.v"


def block_outputs(rtl: Path, engine: str, begin: int, end: int) -> None:
    """Change a design so that what comes out of an engine is not taken in some of its cycles.

    Parameters
    ----------
    rtl : path
        Of the Verilog.
    engine : :class:`str`
    begin, end : :class:`int`
        Cycles since the simulation's start from which, and until which, its outputs are blocked.

    Raises
    ------
    ValueError
        If there is no such engine.
    """
    path = rtl / TOP
    text = path.read_text()
    found = re.search(rf"^  {engine}_engine \w+ \(.*?^  \);$", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"There is no engine {engine!r}")
    instance, lines = found[0], []
    for signal in ("ready", "valid"):
        for port, net in re.findall(rf"\.(o_\d+)__{signal}\((\w+)\)", instance):
            inside = f"{port}_{signal}_of_{engine}"
            instance = instance.replace(f".{port}__{signal}({net})",
                                        f".{port}__{signal}({inside})")
            lines.append(f"  wire {inside};")
            lines.append(f"  assign {inside} = {net} & ~blocked;" if signal == "ready"
                         else f"  assign {net} = {inside} & ~blocked;")
    counter = f"""\
  reg [31:0] cycle = 0;
  always @(posedge clk) cycle <= cycle + 1;
  wire blocked = cycle >= {begin} && cycle < {end};
"""
    path.write_text(text.replace(found[0], "\n".join([counter, *lines, instance])))
