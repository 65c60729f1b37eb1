"""Real scales as fixed-point multipliers."""

import numpy as np
import pytest

from fcnnx.frontend.check import compare_layers
from fcnnx.frontend.fixed import channel_scales, common_scales
from fcnnx.frontend.host import Host
from fcnnx.frontend.tensors import Refused

from .building import Builder


@pytest.mark.parametrize("scale", [1.0, 0.99999999, 1e-3, 3.7e-9, 511.5])
def test_the_greatest_scale_fills_its_bits(scale):
    multipliers, shift = common_scales(np.array([scale, scale / 3, -scale / 7]))
    assert 1 << 23 <= multipliers[0] < 1 << 24
    assert np.allclose(multipliers / 2.0 ** shift, [scale, scale / 3, -scale / 7],
                       atol=2.0 ** -shift)


def test_one_shift_where_scales_are_near_each_other():
    multipliers, shift = channel_scales(np.array([1e-3, 1.2e-1]))
    assert isinstance(shift, int)
    assert multipliers.max() >= 1 << 23
    multipliers, shifts = channel_scales(np.array([1e-3, 1.3e-1]))
    assert shifts.shape == (2,)
    assert (multipliers >= 1 << 23).all()


def test_equal_scales_are_one():
    multipliers, shift = channel_scales(np.full(9, 0.25))
    assert multipliers.shape == (1,)
    assert multipliers[0] == 0.25 * 2 ** shift


def test_channels_without_a_scale():
    multipliers, _ = channel_scales(np.array([0.0, 1e-3]))
    assert multipliers[0] == 0


def test_a_scale_that_is_too_great():
    with pytest.raises(Refused, match="times smaller"):
        common_scales(np.array([1e8]))


def test_models_quantised_here_are_exact_but_for_ties(importing):
    b = Builder()
    trunk = b.node("PRelu", b.node("Conv", "x", b.weights(16, 3, 3, 3), b.weights(16),
                                   pads=(1, 1, 1, 1)), b.weights(16, 1, 1))
    branch = b.node("Conv", trunk, b.weights(16, 16, 3, 3), b.weights(16), pads=(1, 1, 1, 1))
    y = b.node("AveragePool", b.node("Add", trunk, branch), kernel_shape=(3, 3))
    imported = importing(b.model({"x": (1, 3, 24, 24)}, {y: None}))
    inputs = Host(imported.model, imported.network).random(8, seed=4)
    for layer in compare_layers(imported, inputs):
        assert layer.equal == layer.values > 3000
