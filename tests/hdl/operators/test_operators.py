"""The table of operators: every spec answers what the protocol asks."""

import inspect

import pytest

from fcnnx.hdl import operators
from fcnnx.hdl.operator import Constants, FeatureMap, Operator
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.verilog import Emission


ANSWERS = [name for name in vars(Operator) if not name.startswith("_")]


@pytest.mark.parametrize("name", operators.OPERATORS)
def test_answers(name):
    spec = operators.OPERATORS[name]
    assert getattr(operators, name) is spec
    assert spec.__dataclass_params__.frozen
    assert [answer for answer in ANSWERS if not hasattr(spec, answer)] == []
    assert hasattr(spec, "contents")


def test_table_is_complete():
    assert set(operators.__all__) == {"OPERATORS", *operators.OPERATORS}
    specs = {name for name, value in vars(operators).items()
             if inspect.isclass(value) and hasattr(value, "compute")}
    assert specs == set(operators.OPERATORS)


SMALL = FeatureMap(rows=2, columns=2, channels=5)


def pool(multipliers, shift=20):
    return operators.GlobalAveragePool(
        input=SMALL, output=SMALL.resized(rows=1, columns=1), lanes=2,
        requantization=Requantization(multiplier=Constants(multipliers), shift=shift, zero=0,
                                      low=-128, high=127))


def mean_of_pixels(multipliers):
    return operators.AveragePool(
        input=SMALL.resized(rows=3), kernel=(2, 2), padding=(1, 0, 0, 0), excluded=(1, 0, 0, 0),
        output=SMALL.resized(rows=3, columns=1), lanes=2,
        requantization=Requantization(multiplier=Constants(multipliers), shift=20, zero=0,
                                      low=-128, high=127))


def prelu(slopes):
    return operators.PRelu(input=SMALL, output=SMALL, zero=1, zero_out=2, scale=70000, shift=17,
                           low=-128, high=127, lanes=2, slopes=Constants(slopes))


def table(values):
    return operators.Table(input=SMALL, output=SMALL, values=Constants(values), lanes=2)


@pytest.mark.parametrize(("one", "other"), [
    (pool([1, 2, 3, 4, 5]), pool([1 << 16] * 5)),
    (pool([1, 2, 3, 4, 5], Constants([1, 2, 3, 4, 5])), pool([0] * 5, Constants([63] * 5))),
    (mean_of_pixels([2, 1]), mean_of_pixels([1 << 17, 1 << 16])),
    (prelu([1, 2, 3, 4, 5]), prelu([-131071, 0, 131071, 7, 8])),
    (table([0] * 256), table(range(-128, 128))),
])
def test_constants_are_no_part_of_the_hardware(one, other):
    """Only of the files that memories read: stages that differ in them share a module."""
    emission = Emission()
    modules = [emission.convert(spec.create(), key=spec, name="same") for spec in (one, other)]
    assert one.contents() != other.contents()
    assert modules[0] is modules[1]
    assert modules[0].has_file


def test_fixed_shifts_are_part_of_the_hardware():
    emission = Emission()
    one, other = pool([1, 2, 3, 4, 5]), pool([1, 2, 3, 4, 5], shift=21)
    assert one.contents() == other.contents()
    modules = [emission.convert(spec.create(), key=spec, name="same") for spec in (one, other)]
    assert modules[0] is not modules[1]
