"""What every test can ask for."""

import pathlib
import sys
from collections.abc import Callable

import pytest


ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "models"))


@pytest.fixture(scope="session")
def example() -> Callable[[str], pathlib.Path]:
    """The path of an example model or data file by name, as ``models/recipes.py`` lists them."""
    import recipes

    return recipes.locate
