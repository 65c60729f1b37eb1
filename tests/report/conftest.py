"""A report to show, of two small networks."""

import copy
import json

import pytest


STAGE = {"op": "Convolution", "folding": {"rows": 4, "lanes": 1, "part": [1, 3], "pixels": 1,
                                          "requantizers": 1, "packed": True, "lut_rows": 0},
         "interval_cycles": 1234, "stall_share": 0.0, "macs": 9999, "multipliers": 12, "dsp": 7,
         "bram18": 2, "uram": 0, "lut": 567, "ff": 678, "memory_bits": 2345}
FORK = {"op": "Fork", "folding": {"lanes": 1, "places": [4, 777]}, "interval_cycles": 64,
        "stall_share": 0.95, "macs": 0, "multipliers": 0, "dsp": 0, "bram18": 0, "uram": 0,
        "lut": 33, "ff": 20, "memory_bits": 0}
POOL = STAGE | {"op": "MaxPool", "folding": {"lanes": 1, "part": [1, 3]}, "interval_cycles": 432,
                "macs": 0, "multipliers": 0}
ADD = POOL | {"op": "Add", "folding": {"lanes": 1}}
KINDS = ("dsp", "bram18", "uram", "lut", "ff")


def _stream(source, to, *, output=0, index=0, source_kind="stage", kind="stage", places=9):
    return {"from": source, "from_kind": source_kind, "output": output, "to": to, "to_kind": kind,
            "input": index, "shape": [8, 8, 3], "width": 8, "signed": True, "lanes": 1,
            "pixels": 1, "bits": 8, "beats": 192, "places": places, "buffer": 24}


def _network(first):
    """A convolution, a fork, a pool beside it, and an addition."""
    stages = [{"name": name, **stage} for name, stage in (
        (first, STAGE), ("fork", FORK), ("pool", POOL), ("add", ADD))]
    streams = [
        _stream("x", first, source_kind="input", places=0), _stream(first, "fork"),
        _stream("fork", "pool", places=4), _stream("fork", "add", output=1, places=777),
        _stream("pool", "add", index=1), _stream("add", "y", kind="output", places=11)]
    port = {"direction": "input", "tensor": "x", "port": "a_x", "width": 8, "signed": True,
            "lanes": 1, "pixels": 1, "shape": [3, 8, 8], "axes": [1, 2, 0]}
    return {"macs": 9999, "multipliers": 12, "dsp": 21, "bram18": 6, "uram": 0, "lut": 1734,
            "ff": 2054, "dram_bytes_per_frame": 0, "interval_cycles": 1236,
            "latency_cycles": 2468, "frames_per_second": 101132.7, "latency_ms": 0.019744,
            "mac_efficiency": 0.674, "alone_cycles": 1000, "ntt": 1.236, "weight": 1.0,
            "target_fps": None, "target_latency_ms": 3.5, "bottleneck": first,
            "bound": {"left": {"dsp": 22, "bram18": 50, "uram": 0, "lut": 9000, "ff": 9000},
                      "faster": {"interval_cycles": 1111, "dsp": 25, "bram18": 6, "uram": 0,
                                 "lut": 2222, "ff": 2333}, "short": {"dsp": 3}},
            "front": [{"interval_cycles": interval, "dsp": dsp, "bram18": 6, "uram": 0,
                       "lut": 1700, "ff": 2000} for interval, dsp in ((5000, 5), (1236, 21),
                                                                      (1000, 30))],
            "stages": stages, "streams": streams, "ports": [port]}


def _planned():
    networks = {"a": _network("conv"), "b": _network("<conv & 'co'>")}
    total = {kind: sum(row[kind] for row in networks.values()) for kind in KINDS}
    return {
        "board": "zedboard", "device": "XC7Z020", "clock_mhz": 125.0, "clock": "assumed",
        "plan": "0123456789abcdef" * 4, "networks": networks, "total": total | {"dram_gbps": 0},
        "budget": {"dsp": 44, "bram18": 280, "uram": 0, "lut": 53200, "ff": 106400,
                   "dram_gbps": 4.2},
        "available": {"dsp": 220, "bram18": 280, "uram": 0, "lut": 53200, "ff": 106400},
        "memory": dict.fromkeys(KINDS, 0), "schedule": None,
        "metrics": {"stp": 1.618, "stp_fps": 202265.4, "antt": 1.236, "fairness": 0.999,
                    "fairness_weighted": 0.998, "violation_rate": 0.0},
        "optimizer": {"objective": "throughput", "gap": 0.0, "seconds": 1.2},
        "warnings": ["a: Something <b>odd</b>."]}


@pytest.fixture(scope="session")
def planned_text():
    return json.dumps(_planned())


@pytest.fixture
def planned(planned_text):
    """What is in report.json before anything is measured, but for the keys of measurements."""
    return copy.deepcopy(json.loads(planned_text))


def _at_port(name, direction, burst, slots, places, rate):
    return {"name": name, "network": name[0], "direction": direction, "burst": burst,
            "stripe": 0, "stripes": 1,
            "slots": slots, "places": places, "words_per_frame": 618, "interval_cycles": 1236,
            "latency_cycles": 222, "rate": rate, "guaranteed": slots * burst / 2000,
            "level": None if not rate else [6, places] if direction == "read" else [0, 18]}


@pytest.fixture
def with_memory(planned):
    """The same, of networks that reach a memory: two ports, of 80 slots and of one."""
    ports = [[_at_port("a x <0>", "read", 16, 60, 96, 0.4),
              _at_port("b y", "write", 8, 19, 24, 0.05),
              _at_port("b load", "read", 16, 1, 32, 0.0)],
             [_at_port("b x", "read", 16, 50, 64, 0.3)]]
    tables = [[0, 0, 0, 1] * 19 + [0, 0, 0, 2], [0]]
    schedule = {
        "policy": "cyclic", "period_cycles": 2000, "utilisation": 0.4, "word_bytes": 8,
        "words_per_cycle": 3.78, "latency_cycles": [19, 44], "refresh_cycles": [44, 975],
        "turnaround_cycles": 5, "paces": {"a": 1236, "b": 1236}, "buffers": {"a": 4, "b": 8},
        "ports": [{"period_cycles": 2000, "outstanding": 95, "words_per_cycle": 0.945,
                   "table": table, "streams": streams}
                  for table, streams in zip(tables, ports, strict=True)],
        "proven": ["port 0: 80 slots <fit>", "all: 0.75 of 3.6 words per cycle"]}
    memory = {"dsp": 0, "bram18": 5, "uram": 0, "lut": 4321, "ff": 3210}
    for kind, amount in memory.items():
        planned["total"][kind] += amount
    planned["total"]["dram_gbps"] = 0.75
    planned["budget"]["dram_gbps"] = 3.78
    return planned | {"memory": memory, "schedule": schedule}


@pytest.fixture
def simulation():
    row = {"frames": 8, "values": 800, "mismatches": 0, "interval_cycles": 1236,
           "latency_cycles": 2468, "longest_latency_cycles": 2468, "starved_cycles": 0,
           "mac_efficiency": 0.674}
    return {"simulator": "verilator", "seconds": 2.0, "cycles": 12345, "stalls": None,
            "networks": {"a": row, "b": row | {"interval_cycles": None, "mac_efficiency": 0.0}},
            "memory": {"bytes": 0, "busy_cycles": 0, "utilisation": 0, "underruns": 0}}


@pytest.fixture
def simulated(simulation):
    """The same, of networks that reach a memory."""
    streams = [{"name": name, "port": port, "direction": direction, "bytes": 8, "least": least,
                "greatest": least + 30, "samples": samples} for port, name, direction, least,
               samples in ((0, "a x <0>", "read", 50, [60, 60, 51, 60]),
                           (0, "b y", "write", 0, [0, 8, 0, 0]), (0, "b load", "read", 0, []),
                           (1, "b x", "read", 3, [9, 8, 7, 3]))]
    simulation["memory"] = {"bytes": 61725, "busy_cycles": 7716, "utilisation": 0.35,
                            "steady_utilisation": 0.39, "underruns": 0, "sampled_from": 4000,
                            "sample_cycles": 20, "streams": streams}
    return simulation


@pytest.fixture
def synthesis():
    return {"tool": "Yosys 0.70", "target": "XC7Z020", "plan": "0123", "seconds": 7.0, "dsp": 42,
            "bram18": 12, "uram": 0, "lut": 4000, "ff": 4108, "predicted": {}, "modules": {},
            "fmax_mhz": None, "bitstream": None}
