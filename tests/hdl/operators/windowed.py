"""Specs with a window, with seeded weights, for the tests."""

import numpy as np

from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.convolution import Convolution, accumulator_width
from fcnnx.hdl.operators.depthwise import DepthwiseConvolution
from fcnnx.hdl.operators.pooling import AveragePool, MaxPool
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.operators.window import Window


def frames_for(spec, count=3, seed=1):
    """Random frames for each input of a spec."""
    rng = np.random.default_rng(seed)
    return [rng.integers(shape.map.low, shape.map.high + 1, (count, *shape.map.shape))
            for shape in spec.inputs]


def _place(size, kernel, strides, padding, signed):
    values = FeatureMap(rows=size[0], columns=size[1], channels=size[2], signed=signed)
    window = Window(input=values, kernel=kernel, strides=strides, padding=padding)
    return values, window.positions


def _requantization(rng, output, terms, vary):
    """One that uses the whole range of the output, and a little more."""
    shift = 24 + int(np.log2(60 * np.sqrt(terms)))
    count = output.channels
    return Requantization(
        multiplier=Constants(rng.integers(1 << 22, 1 << 24, count)),
        shift=Constants(shift + rng.integers(0, 3, count)) if vary else shift,
        zero=3, low=output.low, high=output.high)


def convolution(size, out_channels, kernel, *, strides=(1, 1), padding=(0, 0, 0, 0), pad=0,
                signed=True, out_signed=True, vary=False, **folding):
    """A convolution of a map of this size: rows, columns, channels."""
    rng = np.random.default_rng(2)
    values, (rows, columns) = _place(size, kernel, strides, padding, signed)
    output = FeatureMap(rows=rows, columns=columns, channels=out_channels, signed=out_signed)
    weights = rng.integers(-128, 128, (out_channels, *kernel, size[2]))
    bias = rng.integers(-5000, 5000, out_channels)
    return Convolution(
        input=values, kernel=kernel, strides=strides, padding=padding, pad=pad,
        weights=Constants(weights), bias=Constants(bias), output=output,
        requantization=_requantization(rng, output, weights[0].size, vary),
        acc_width=accumulator_width(weights, bias, values), **folding)


def depthwise(size, kernel, *, strides=(1, 1), padding=(0, 0, 0, 0), pad=0, signed=True,
              **folding):
    """A depthwise convolution likewise."""
    rng = np.random.default_rng(3)
    values, (rows, columns) = _place(size, kernel, strides, padding, signed)
    output = FeatureMap(rows=rows, columns=columns, channels=size[2])
    weights = rng.integers(-128, 128, (size[2], *kernel))
    bias = rng.integers(-500, 500, size[2])
    return DepthwiseConvolution(
        input=values, kernel=kernel, strides=strides, padding=padding, pad=pad,
        weights=Constants(weights), bias=Constants(bias), output=output,
        requantization=_requantization(rng, output, weights[0].size, False),
        acc_width=accumulator_width(weights, bias, values), **folding)


def average_pool(size, kernel, *, strides=(1, 1), padding=(0, 0, 0, 0), pad=0, signed=True,
                 **folding):
    """An average pool likewise."""
    values, (rows, columns) = _place(size, kernel, strides, padding, signed)
    output = values.resized(rows=rows, columns=columns)
    requantization = Requantization(multiplier=Constants([70000]), shift=18, zero=5,
                                    low=output.low, high=output.high)
    return AveragePool(input=values, kernel=kernel, strides=strides, padding=padding, pad=pad,
                       bias=-10, requantization=requantization, output=output, **folding)


def max_pool(size, kernel, *, strides=(1, 1), padding=(0, 0, 0, 0), signed=True, **folding):
    """A max pool likewise."""
    values, _ = _place(size, kernel, strides, padding, signed)
    return MaxPool(input=values, kernel=kernel, strides=strides, padding=padding, **folding)
