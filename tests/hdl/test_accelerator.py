"""The accelerator's ports."""

import re

import pytest

from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import FeatureMap, StreamShape
from fcnnx.hdl.operators.plumbing import Queue
from fcnnx.hdl.verilog import emit


MAP = FeatureMap(rows=1, columns=1, channels=3)


def engine(name, tensor_in="x", tensor_out="y"):
    shape = StreamShape(map=MAP, lanes=3)
    return Engine(name=name, inputs=((tensor_in, shape),),
                  stages=(Stage(name="queue", operator=Queue(map=MAP, lanes=3),
                                inputs=(Source(tensor_in),)),),
                  outputs=((tensor_out, Source("queue")),))


@pytest.mark.parametrize(("name", "tensors", "ports"), [
    ("net", ("x", "y"), ["net_x", "net_y"]),
    ("net", ("input:0", "out/put;"), ["net_input_0", "net_out_put"]),
    ("net", ("t/x", "t.x"), ["net_t_x", "net_t_x_2"]),
    ("_net_", ("_x", "y__z"), ["net_x", "net_y_z"]),
    ("8bit", ("x", "/"), ["n8bit_x", "n8bit_n"]),
])
def test_port_names(name, tensors, ports):
    spec = Accelerator(engines=(engine(name, *tensors),))
    assert [port.name for port in spec.ports] == ports
    assert [(port.direction, port.stream) for port in spec.ports] == [("input", tensors[0]),
                                                                      ("output", tensors[1])]


def test_long_tensor_names_give_short_ports():
    spec = Accelerator(engines=(engine("net", "x" * 400 + "/a", "x" * 400 + "/b"),))
    names = [port.name for port in spec.ports]
    assert len(set(names)) == 2
    assert all(re.fullmatch(r"net(_[A-Za-z0-9]+)+", name) and len(name) <= 60 for name in names)


def test_top_has_clock_reset_and_streams():
    spec = Accelerator(engines=(engine("a"), engine("b")))
    texts = emit(spec.create(), name="accelerator")
    header = texts["accelerator"].split(";")[0]
    assert set(re.findall(r"\w+", header)) - {"module", "accelerator"} == {"clk", "rst"} | {
        f"{port}__{end}" for port in ("a_x", "a_y", "b_x", "b_y")
        for end in ("payload", "valid", "ready")}
    assert list(texts) == ["queue_stage", "a_engine", "b_engine", "accelerator"]


@pytest.mark.parametrize(("engines", "message"), [
    ((), "An accelerator must have an engine"),
    ((engine("a"), engine("a")), "Engines must have different names, not a, a"),
])
def test_errors(engines, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Accelerator(engines=engines)
