"""Icarus Verilog: the same job by a testbench in Verilog, for small engines."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fcnnx.cosim.beats import words_of
from fcnnx.cosim.job import STALL_SHARE, Job
from fcnnx.errors import BadInput, Problem
from fcnnx.hdl.accelerator import AcceleratorPort


__all__ = ["simulate"]


TESTBENCH = """\
`timescale 1ns / 1ns
module testbench;
  reg clk = 0, rst = 1;
  integer cycle = -16, left = {outputs}, hangs = 0;
  always #5 clk = ~clk;
  always @(negedge clk) begin
    cycle = cycle + 1;
    rst = cycle < 0;
  end
  integer {lasts};
{ports}
  accelerator dut (.clk(clk), .rst(rst){connections});
  always @(posedge clk) begin
    #1;
{watchdogs}
    if (hangs || !left) begin
      if (!hangs) $display("cycles %0d", cycle + 1);
      $finish(0);
    end
  end
endmodule
"""

INPUT = """\
  reg [{high}:0] beats_{k} [0:{last}];
  initial $readmemh("{work}/{k}.hex", beats_{k});
  integer at_{k} = 0, seed_{k} = {seed}, file_{k};
  initial file_{k} = $fopen("{work}/{k}.text", "w");
  reg valid_{k} = 0;
  wire ready_{k};
  wire [{high}:0] payload_{k} = beats_{k}[at_{k}];
  always @(negedge clk) #1 if (!rst && !valid_{k}) valid_{k} = {go};
  always @(posedge clk) if (valid_{k} && ready_{k}) begin
    $fdisplay(file_{k}, "%0d", cycle);
    #2 valid_{k} = 0;
    at_{k} = at_{k} == {last} ? 0 : at_{k} + 1;
  end
"""

OUTPUT = """\
  integer count_{k} = 0, seed_{k} = {seed}, file_{k};
  initial file_{k} = $fopen("{work}/{k}.text", "w");
  reg ready_{k} = 0;
  wire valid_{k};
  wire [{high}:0] payload_{k};
  always @(negedge clk) #1 ready_{k} = !rst && {go};
  always @(posedge clk) if (valid_{k} && ready_{k}) begin
    $fdisplay(file_{k}, "%0d %h", cycle, payload_{k});
    last_{network} = cycle;
    count_{k} = count_{k} + 1;
    if (count_{k} == {target}) left = left - 1;
  end
"""

WATCHDOG = """\
    if (({unfinished}) && cycle - last_{k} > {patience}) begin
      $display("hangs {k} %0d", last_{k});
      hangs = 1;
    end"""


def simulate(job: Job, progress: Callable[[str], None]) -> int:
    """Run a job; gives the cycles.

    Raises
    ------
    BadInput
        If Icarus is not there, or does not take the design.
    TargetMissed
        If a network stands still.
    """
    if job.waves is not None:
        raise BadInput(Problem(where="Icarus", reason="Waveforms are written by Verilator only."))
    if not (shutil.which("iverilog") and shutil.which("vvp")):
        raise BadInput(Problem(where="Icarus", reason="iverilog is not installed.",
                               remedy="Install it, or simulate with Verilator."))
    for k, port in enumerate(job.accelerator.ports):
        if port.direction == "input":
            _write_hex(job.work / f"{k}.in", words_of(port.shape))
    (job.work / "testbench.v").write_text(testbench(job))
    progress("Compiling the simulator")
    _call(job, "iverilog", "-g2012", "-o", job.work / "testbench.vvp", "-s", "testbench",
          job.work / "testbench.v", *job.sources)
    progress("Simulating")
    said = _call(job, "vvp", "-n", job.work / "testbench.vvp")
    for line in said:
        if line.startswith("ERROR: "):
            raise BadInput(Problem(where=str(job.rtl), reason=line.removeprefix("ERROR: ")))
    hanging = {int(line.split()[1]): int(line.split()[2]) for line in said
               if line.startswith("hangs ")}
    if hanging:
        raise job.hang(hanging)
    for k, port in enumerate(job.accelerator.ports):
        _read_text(job.work / f"{k}.text", port)
    return int(next(line.split()[1] for line in said if line.startswith("cycles ")))


def testbench(job: Job) -> str:
    """The testbench of a job."""
    engines, ports = job.engines, job.accelerator.ports
    rows, connections, outputs = [], [], []
    for k, port in enumerate(ports):
        network = engines.index(port.engine)
        go = "1" if job.stalls is None else \
            f"($urandom(seed_{k}) >= 32'd{round(STALL_SHARE * (1 << 32))})"
        target = port.shape.beats * job.wanted[network]
        values = {"k": k, "high": port.shape.width - 1, "work": job.work, "network": network,
                  "go": go, "seed": ((job.stalls or 0) * 977 + k + 1) & 0x7FFFFFFF,
                  "target": target}
        if port.direction == "input":
            beats = (job.work / f"{k}.in").stat().st_size // (4 * words_of(port.shape))
            rows.append(INPUT.format(**values, last=beats - 1))
        else:
            rows.append(OUTPUT.format(**values))
            outputs.append((network, f"count_{k} < {target}"))
        connections += [f".{port.name}__{end}({end}_{k})" for end in ("payload", "valid", "ready")]
    watchdogs = "\n".join(
        WATCHDOG.format(k=k, patience=job.patience,
                        unfinished=" || ".join(text for network, text in outputs if network == k))
        for k in range(len(engines)))
    return TESTBENCH.format(
        outputs=len(outputs), lasts=", ".join(f"last_{k} = 0" for k in range(len(engines))),
        ports="".join(rows), watchdogs=watchdogs,
        connections="".join(f",\n    {each}" for each in connections))


def _call(job: Job, *command: str | Path) -> list[str]:
    done = subprocess.run(list(map(str, command)), cwd=job.rtl, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise BadInput(Problem(where="Icarus", reason="; ".join(done.stdout.splitlines()[:3])))
    return done.stdout.splitlines()


def _write_hex(path: Path, words: int) -> None:
    """Beats as text, as $readmemh wants them."""
    beats = np.fromfile(path, "<u4").reshape(-1, words)
    path.with_suffix(".hex").write_text("".join(
        f"{sum(word << 32 * k for k, word in enumerate(beat)):x}\n" for beat in beats.tolist()))


def _read_text(path: Path, port: AcceleratorPort) -> None:
    """Transfers that the testbench wrote as text, as files of a job."""
    rows = [line.split() for line in path.read_text().splitlines()]
    np.array([int(row[0]) for row in rows], "<u8").tofile(path.with_suffix(".cycles"))
    if port.direction == "output":
        if any(re.search("[^0-9a-f]", row[1]) for row in rows):
            raise BadInput(Problem(where=port.name, reason="Some of its output is undefined."))
        bytes_ = 4 * words_of(port.shape)
        beats = b"".join(int(row[1], 16).to_bytes(bytes_, "little") for row in rows)
        path.with_suffix(".out").write_bytes(beats)
