"""Tables for people."""

from rich.console import Console

from fcnnx.report import terminal
from fcnnx.report.progress import Steps


STAGE = {"name": "conv", "op": "Convolution", "interval_cycles": 1000, "multipliers": 8, "dsp": 4,
         "bram18": 2, "uram": 0, "lut": 500, "ff": 600}
NETWORK = {"macs": 7200, "interval_cycles": 1000, "latency_cycles": 1500, "ntt": 1.5,
           "frames_per_second": 125000.0, "bottleneck": "conv", "stages": [STAGE, STAGE | {
               "name": "pool", "op": "MaxPool", "interval_cycles": 400}]} | {
    kind: STAGE[kind] for kind in ("multipliers", "dsp", "bram18", "uram", "lut", "ff")}
AMOUNTS = {"dsp": 8, "bram18": 4, "uram": 0, "lut": 1000, "ff": 1200, "dram_gbps": 0}
REPORT = {
    "board": "zedboard", "device": "XC7Z020", "clock_mhz": 125.0,
    "networks": {"a": NETWORK, "b": NETWORK}, "total": AMOUNTS,
    "budget": {kind: 2 * amount for kind, amount in AMOUNTS.items()},
    "metrics": {"stp": 1.333, "stp_fps": 250000.0, "antt": 1.5, "fairness": 1.0},
    "schedule": None,
    "optimizer": {"objective": "throughput", "gap": 0.012, "seconds": 1.25},
    "warnings": ["a: Something [b]odd[/b]."]}


def test_report(capsys):
    terminal.show_report(REPORT, "build/a_b", stages=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "build/a_b: a, b on zedboard (XC7Z020) at 125 MHz, assumed"
    assert lines[1].split() == ["network", "interval", "latency", "frames/s", "NTT",
                                "multipliers", "DSP", "BRAM18", "LUT", "FF"]
    assert lines[2].split() == ["a", "1,000", "1,500", "125,000", "1.5", "8", "4", "2", "500",
                                "600"]
    used = next(line for line in lines if line.startswith("used"))
    assert used.split() == ["used", "50%", "50%", "50%", "50%"]
    assert any("its bottleneck is conv (Convolution)" in line for line in lines)
    assert any("multipliers at work 90%" in line for line in lines)
    assert any("proven within 1.2% of the best" in line for line in lines)
    assert any(line.split()[:3] == ["pool", "MaxPool", "400"] for line in lines)
    assert lines[-1] == "warning: a: Something [b]odd[/b]."


def test_simulation(capsys):
    row = {"frames": 8, "values": 800, "mismatches": 3, "interval_cycles": None,
           "latency_cycles": 1500, "starved_cycles": 0, "mac_efficiency": 0.0}
    terminal.show_simulation(
        {"simulator": "verilator", "seconds": 2.0, "cycles": 12345,
         "networks": {"a": row, "b": row | {"interval_cycles": 1001, "mac_efficiency": 0.9}}},
        REPORT)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["a", "8", "800", "3", "one", "frame", "1,000", "1,500", "1,500"]
    assert lines[2].split() == ["b", "8", "800", "3", "1,001", "1,000", "1,500", "1,500", "90%"]
    assert lines[3] == "12,345 cycles in verilator, 2.0 s."


def test_memory(capsys):
    memory = {kind: 3 * amount for kind, amount in AMOUNTS.items()}
    schedule = {"policy": "cyclic", "period_cycles": 7373, "utilisation": 0.26, "word_bytes": 8,
                "ports": [{"table": [0, 1, 0]}, {"table": [0]}]}
    report = REPORT | {"memory": memory, "schedule": schedule, "total": AMOUNTS | {
        "dram_gbps": 0.94}, "budget": AMOUNTS | {"dram_gbps": 3.78}}
    terminal.show_report(report, "build/a_b")
    output = capsys.readouterr().out
    row = next(line for line in output.splitlines() if line.startswith("memory side"))
    assert row.split() == ["memory", "side", "24", "12", "3,000", "3,600"]
    assert ("Memory: 0.94 of 3.78 GB/s, 26.0% of what refreshes leave, through 2 ports of 64 bits; "
            "tables of 3 slots or fewer, walked in 7,373 cycles at most. No queue runs dry, or "
            "full: proven.") in output
    terminal.show_report(report | {"schedule": schedule | {"policy": "round-robin"}}, "build/a_b")
    assert "served in turn; nothing is proven." in capsys.readouterr().out
    terminal.show_simulation({"simulator": "verilator", "seconds": 2.0, "cycles": 12345,
                              "networks": {}, "memory": {"bytes": 2_963_064, "utilisation": 0.1069,
                                                         "underruns": 7}}, report)
    assert ("Memory: 2.96 million bytes, 10.7% of what refreshes leave (planned 26.0%, in steady "
            "state); engines waited for it in 7 cycles.") in capsys.readouterr().out


def test_steps_without_a_terminal(capsys):
    with Steps(Console(stderr=True)) as steps:
        for step in ("Planning", "Planning", "Simulating", "Simulating: 1 of 9", "Comparing"):
            steps(step)
    output = capsys.readouterr()
    assert [line.split("s  ")[1] for line in output.err.splitlines()] == [
        "Planning", "Simulating", "Comparing"]
    assert output.out == ""
