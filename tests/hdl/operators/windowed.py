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


def _place(size, kernel, strides, padding, signed, dilations=(1, 1)):
    values = FeatureMap(rows=size[0], columns=size[1], channels=size[2], signed=signed)
    window = Window(input=values, kernel=kernel, strides=strides, padding=padding,
                    dilations=dilations)
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
                signed=True, out_signed=True, vary=False, dilations=(1, 1), **folding):
    """A convolution of a map of this size: rows, columns, channels."""
    rng = np.random.default_rng(2)
    values, (rows, columns) = _place(size, kernel, strides, padding, signed, dilations)
    output = FeatureMap(rows=rows, columns=columns, channels=out_channels, signed=out_signed)
    weights = rng.integers(-128, 128, (out_channels, *kernel, size[2]))
    bias = rng.integers(-5000, 5000, out_channels)
    return Convolution(
        input=values, kernel=kernel, strides=strides, padding=padding, pad=pad,
        dilations=dilations,
        weights=Constants(weights), bias=Constants(bias), output=output,
        requantization=_requantization(rng, output, weights[0].size, vary),
        acc_width=accumulator_width(weights, bias, values), **folding)


def depthwise(size, kernel, *, strides=(1, 1), padding=(0, 0, 0, 0), pad=0, signed=True, times=1,
              dilations=(1, 1), **folding):
    """A depthwise convolution likewise, of so many outputs for each channel."""
    rng = np.random.default_rng(3)
    values, (rows, columns) = _place(size, kernel, strides, padding, signed, dilations)
    output = FeatureMap(rows=rows, columns=columns, channels=times * size[2])
    weights = rng.integers(-128, 128, (output.channels, *kernel))
    bias = rng.integers(-500, 500, output.channels)
    return DepthwiseConvolution(
        input=values, kernel=kernel, strides=strides, padding=padding, pad=pad,
        dilations=dilations,
        weights=Constants(weights), bias=Constants(bias), output=output,
        requantization=_requantization(rng, output, weights[0].size, False),
        acc_width=accumulator_width(weights, bias, values), **folding)


def average_pool(size, kernel, *, strides=(1, 1), padding=(0, 0, 0, 0), pad=0, signed=True,
                 dilations=(1, 1), excluded=(0, 0, 0, 0), **folding):
    """An average pool likewise; a mean, and a little more, of what is not excluded."""
    values, (rows, columns) = _place(size, kernel, strides, padding, signed, dilations)
    output = values.resized(rows=rows, columns=columns)
    window = Window(input=values, kernel=kernel, strides=strides, padding=padding,
                    dilations=dilations)
    counts = np.unique(window.counts(excluded))
    requantization = Requantization(multiplier=Constants(280000 // counts), shift=18, zero=5,
                                    low=output.low, high=output.high)
    return AveragePool(input=values, kernel=kernel, strides=strides, padding=padding, pad=pad,
                       dilations=dilations, excluded=excluded, bias=-10,
                       requantization=requantization, output=output, **folding)


def max_pool(size, kernel, *, strides=(1, 1), padding=(0, 0, 0, 0), signed=True,
             dilations=(1, 1), **folding):
    """A max pool likewise."""
    values, _ = _place(size, kernel, strides, padding, signed, dilations)
    return MaxPool(input=values, kernel=kernel, strides=strides, padding=padding,
                   dilations=dilations, **folding)
