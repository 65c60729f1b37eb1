"""The table of operators: every spec answers what the protocol asks."""

import inspect

import pytest

from fcnnx.hdl import operators
from fcnnx.hdl.operator import Operator


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
