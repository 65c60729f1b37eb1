"""Small designs to simulate."""

import shutil

import numpy as np
import pytest

from fcnnx.generate import generate
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import Constants, FeatureMap, StreamShape
from fcnnx.hdl.operators.add import Add
from fcnnx.hdl.operators.convolution import Convolution, accumulator_width
from fcnnx.hdl.operators.plumbing import Fork, Queue
from fcnnx.hdl.operators.requantize import Requantization


# Icarus is no Python package: where it is missing, its tests are not there either.
collect_ignore = [] if shutil.which("iverilog") else ["test_icarus.py", "test_lut_product.py"]


def convolution(taken, channels, rng, **folding):
    """3 x 3, padded."""
    weights = rng.integers(-127, 128, (channels, 3, 3, taken.channels))
    bias = rng.integers(-1000, 1000, channels)
    return Convolution(
        input=taken, kernel=(3, 3), padding=(1, 1, 1, 1), weights=Constants(weights),
        bias=Constants(bias), acc_width=accumulator_width(weights, bias, taken),
        requantization=Requantization(multiplier=Constants([70000]), shift=24, zero=0, low=-128,
                                      high=127),
        output=taken.resized(channels=channels), **folding)


def residual(name, seed, size=(4, 5)):
    """A convolution, and another one around which its output goes: every stream of one lane."""
    rng = np.random.default_rng(seed)
    image = FeatureMap(rows=size[0], columns=size[1], channels=2)
    first = convolution(image, 4, rng, rows=2)
    hidden = first.output
    second = convolution(hidden, 4, rng, rows=2)
    add = Add(operands=(hidden, hidden), zeros=(0, 0), scales=(65536, 65536), shift=17, zero=0,
              low=-128, high=127, output=hidden)
    fork = Fork(map=hidden, places=(4, 4 * hidden.pixels))
    stages = (
        Stage(name="first/Conv", operator=first, inputs=(Source("image:0"),)),
        Stage(name="fork", operator=fork, inputs=(Source("first/Conv"),)),
        Stage(name="second/Conv", operator=second, inputs=(Source("fork", 0),)),
        Stage(name="sum", operator=add, inputs=(Source("second/Conv"), Source("fork", 1))),
    )
    return Engine(name=name, inputs=(("image:0", StreamShape(map=image)),), stages=stages,
                  outputs=(("found", Source("sum")),))


@pytest.fixture(scope="session")
def pair():
    """An accelerator of two networks, the second faster than the first."""
    return Accelerator(engines=(residual("slow", 1, (6, 5)), residual("fast", 2)))


@pytest.fixture(scope="session")
def inputs(pair):
    """Three frames for each network."""
    rng = np.random.default_rng(3)
    return {(engine.name, name): rng.integers(-128, 128, (3, *shape.map.shape))
            for engine in pair.engines for name, shape in engine.inputs}


@pytest.fixture(scope="session")
def generated(pair, tmp_path_factory):
    """The accelerator's files."""
    folder = tmp_path_factory.mktemp("generated") / "design"
    generate(pair, folder)
    return folder


@pytest.fixture
def design(generated, tmp_path):
    """The accelerator's files, in a folder of the test's own."""
    return shutil.copytree(generated, tmp_path / "design")


@pytest.fixture(scope="session")
def queues():
    """An accelerator of two queues, which is quickly compiled."""
    queue = Queue(map=FeatureMap(rows=2, columns=2, channels=3))
    return Accelerator(engines=tuple(
        Engine(name=name, inputs=(("x", queue.inputs[0]),),
               stages=(Stage(name="queue", operator=queue, inputs=(Source("x"),)),),
               outputs=(("y", Source("queue")),))
        for name in ("good", "bad")))


@pytest.fixture
def queues_design(queues, tmp_path):
    """Its files."""
    generate(queues, tmp_path / "queues")
    return tmp_path / "queues"


@pytest.fixture
def block_bad(queues_design):
    """Lets nothing out of one of the queues."""
    path = queues_design / "rtl" / "bad_engine.v"
    text = path.read_text().replace(".o__valid(o_0__valid)", ".o__valid()")
    path.write_text(text.replace("endmodule", "  assign o_0__valid = 1'b0;\nendmodule"))


@pytest.fixture(scope="session")
def queues_inputs():
    """Two frames for each queue."""
    x = np.arange(24).reshape(2, 2, 2, 3)
    return {("good", "x"): x, ("bad", "x"): x}
