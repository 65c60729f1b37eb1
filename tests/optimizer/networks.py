"""Networks of real operators with random weights, built layer by layer."""

import numpy as np

from fcnnx.hdl.engine import Source, Stage
from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.add import Add
from fcnnx.hdl.operators.convolution import Convolution, accumulator_width
from fcnnx.hdl.operators.depthwise import DepthwiseConvolution
from fcnnx.hdl.operators.global_pool import GlobalAveragePool
from fcnnx.hdl.operators.multiply import Multiply
from fcnnx.hdl.operators.pooling import MaxPool
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.network import Network, Port


class Builder:
    """Appends stages; each method returns what carries its result."""

    def __init__(self, name, rows, columns, channels, seed=1):
        self.name, self.rng = name, np.random.default_rng(seed)
        self.map = FeatureMap(rows=rows, columns=columns, channels=channels)
        self.input = self.map
        self.stages = []
        self.maps = {Source("x"): self.map}
        self.last = Source("x")

    def append(self, operator, *sources):
        name = f"{type(operator).__name__.lower()}_{len(self.stages)}"
        self.stages.append(Stage(name=name, operator=operator, inputs=sources or (self.last,)))
        self.last = Source(name)
        self.maps[self.last] = operator.outputs[0].map
        return self.last

    def requantization(self):
        return Requantization(multiplier=Constants([70000]), shift=24, zero=0,
                              low=-128, high=127)

    def geometry(self, taken, kernel, stride, same):
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        pads = []
        for size, k in ((taken.rows, rows), (taken.columns, columns)):
            total = max((-(-size // stride) - 1) * stride + k - size, 0) if same else 0
            pads.append((total // 2, total - total // 2))
        (top, bottom), (left, right) = pads
        return {"input": taken, "kernel": (rows, columns), "strides": (stride, stride),
                "padding": (top, left, bottom, right)}, (
                    (taken.rows + top + bottom - rows) // stride + 1,
                    (taken.columns + left + right - columns) // stride + 1)

    def conv(self, channels, kernel=3, stride=1, same=True, source=None):
        source = source or self.last
        fields, (rows, columns) = self.geometry(self.maps[source], kernel, stride, same)
        taken = fields["input"]
        weights = self.rng.integers(-127, 128, (channels, *fields["kernel"], taken.channels))
        bias = self.rng.integers(-1000, 1000, channels)
        return self.append(Convolution(
            **fields, weights=Constants(weights), bias=Constants(bias),
            requantization=self.requantization(), acc_width=accumulator_width(weights, bias, taken),
            output=taken.resized(rows=rows, columns=columns, channels=channels)), source)

    def depthwise(self, kernel=3, stride=1, same=True):
        fields, (rows, columns) = self.geometry(self.maps[self.last], kernel, stride, same)
        taken = fields["input"]
        weights = self.rng.integers(-127, 128, (taken.channels, *fields["kernel"]))
        bias = self.rng.integers(-1000, 1000, taken.channels)
        return self.append(DepthwiseConvolution(
            **fields, weights=Constants(weights), bias=Constants(bias),
            requantization=self.requantization(), acc_width=accumulator_width(weights, bias, taken),
            output=taken.resized(rows=rows, columns=columns)))

    def dense(self, channels):
        taken = self.maps[self.last]
        return self.conv(channels, (taken.rows, taken.columns), same=False)

    def pool(self, kernel=2, stride=2, same=True):
        fields, _ = self.geometry(self.maps[self.last], kernel, stride, same)
        return self.append(MaxPool(**fields))

    def average(self):
        taken = self.maps[self.last]
        return self.append(GlobalAveragePool(input=taken, requantization=self.requantization(),
                                             output=taken.resized(rows=1, columns=1)))

    def add(self, a, b):
        return self.append(Add(operands=(self.maps[a], self.maps[b]), zeros=(0, 0),
                               scales=(65536, 65536), shift=17, zero=0, low=-128, high=127,
                               output=self.maps[a]), a, b)

    def excite(self, a, b):
        """Each pixel of the first times the second, a single one."""
        return self.append(Multiply(operands=(self.maps[a], self.maps[b]), zeros=(0, 0),
                                    scale=65536, shift=20, zero=0, low=-128, high=127,
                                    output=self.maps[a]), a, b)

    def network(self, *outputs):
        def port(name, feature_map, source=None):
            return Port(name=name, tensor=name, shape=feature_map.shape, axes=(0, 1, 2),
                        map=feature_map, source=source)

        outputs = outputs or (self.last,)
        return Network(name=self.name, inputs=(port("x", self.input),),
                       stages=tuple(self.stages),
                       outputs=tuple(port(f"y{k}", self.maps[source], source)
                                     for k, source in enumerate(outputs)))


def small(name="small", seed=1):
    """Two convolutions, a pool and a fully connected layer."""
    net = Builder(name, 12, 12, 3, seed)
    net.conv(8)
    net.pool()
    net.conv(12)
    net.dense(10)
    return net.network()


def small_residual(name="small_residual", seed=2):
    """A residual block with a strided shortcut, and an output that is also used inside."""
    net = Builder(name, 10, 10, 4, seed)
    first = net.conv(6)
    net.conv(10, stride=2)
    body = net.conv(10)
    shortcut = net.conv(10, kernel=1, stride=2, source=first)
    joined = net.add(body, shortcut)
    net.average()
    return net.network(net.last, joined)


def squeeze_excite(name="squeeze_excite", seed=5, side=32):
    """A block that multiplies each channel by what its mean says (Hu et al., CVPR 2018): all of its
    map waits for that."""
    net = Builder(name, side, side, 3, seed)
    whole = net.conv(16)
    net.average()
    net.dense(4)
    gate = net.dense(16)
    net.excite(whole, gate)
    net.conv(8)
    net.average()
    return net.network()


def small_depthwise(name="small_depthwise", seed=3):
    """Depthwise separable layers."""
    net = Builder(name, 12, 10, 1, seed)
    net.conv(8, kernel=(5, 3), stride=2)
    net.depthwise()
    net.conv(12, kernel=1)
    net.average()
    net.dense(4)
    return net.network()


def resnet8(name="resnet8", seed=4):
    """The topology of MLPerf Tiny's image classification."""
    net = Builder(name, 32, 32, 3, seed)
    entry = net.conv(16)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        net.conv(channels, stride=stride, source=entry)
        body = net.conv(channels)
        shortcut = (entry if stride == 1
                    else net.conv(channels, kernel=1, stride=stride, source=entry))
        entry = net.add(shortcut, body)
    net.average()
    net.dense(10)
    return net.network()


def mobilenet(name="mobilenet", seed=5):
    """The topology of MLPerf Tiny's visual wake words."""
    net = Builder(name, 96, 96, 3, seed)
    net.conv(8, stride=2)
    for channels, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1),
                             (128, 1), (128, 1), (128, 1), (128, 1), (256, 2), (256, 1)):
        net.depthwise(stride=stride)
        net.conv(channels, kernel=1)
    net.average()
    net.dense(2)
    return net.network()


def dscnn(name="dscnn", seed=6):
    """The topology of MLPerf Tiny's keyword spotting."""
    net = Builder(name, 49, 10, 1, seed)
    net.conv(64, kernel=(10, 4), stride=2)
    for _ in range(4):
        net.depthwise()
        net.conv(64, kernel=1)
    net.average()
    net.dense(12)
    return net.network()


def autoencoder(name="autoencoder", seed=7):
    """The topology of MLPerf Tiny's anomaly detection."""
    net = Builder(name, 1, 1, 640, seed)
    for channels in (128, 128, 128, 128, 8, 128, 128, 128, 128, 640):
        net.dense(channels)
    return net.network()


def bottleneck(branches=2):
    """Three layers beside nothing, or beside another one."""
    net = Builder("bottleneck", 8, 8, 4)
    first = net.conv(64)
    net.conv(64, kernel=1)
    net.conv(64)
    last = net.conv(64, kernel=1)
    if branches == 3:
        last = net.add(last, net.conv(64, kernel=1, source=first))
    net.add(last, first)
    net.average()
    return net.network()


def tiny_chain(name="tiny_chain", seed=8):
    """A strided convolution, a pool and a fully connected layer on few pixels."""
    net = Builder(name, 8, 6, 3, seed)
    net.conv(6, stride=2)
    net.pool()
    net.dense(5)
    return net.network()


def tiny_residual(name="tiny_residual", seed=9):
    """A residual block on few pixels, its block read by an output as well."""
    net = Builder(name, 6, 5, 2, seed)
    first = net.conv(4)
    body = net.conv(4)
    joined = net.add(body, first)
    net.average()
    return net.network(net.last, joined)
