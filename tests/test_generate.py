"""The files of a design."""

import pytest

from fcnnx.generate import generate, memory_files
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import Constants, FeatureMap
from fcnnx.hdl.operators.prelu import PRelu


@pytest.fixture
def accelerator():
    """Two networks of the same module, with other slopes."""
    feature_map = FeatureMap(rows=1, columns=2, channels=3)

    def engine(name, slopes):
        prelu = PRelu(input=feature_map, output=feature_map, zero=0, zero_out=0, scale=65536,
                      slopes=Constants(slopes), shift=16, low=-128, high=127)
        return Engine(name=name, inputs=(("x", prelu.inputs[0]),),
                      stages=(Stage(name="act/1", operator=prelu, inputs=(Source("x"),)),),
                      outputs=(("y", Source("act/1")),))

    return Accelerator(engines=(engine("a", [1, 2, 3]), engine("b", [-1, 0, 70])))


def test_files(accelerator, tmp_path):
    generate(accelerator, tmp_path / "design")
    memories = {name: (width, words) for name, width, words in memory_files(accelerator)}
    assert {name.split(".")[0] for name in memories} == {"a", "b"}
    names = {path.name for path in (tmp_path / "design" / "rtl").iterdir()}
    assert names == {"accelerator.v", "a_engine.v", "b_engine.v", "prelu_stage.v", "memory.v",
                     *memories}
    for name, (width, words) in memories.items():
        lines = (tmp_path / "design" / "rtl" / name).read_text().split()
        assert [int(line, 16) for line in lines] == words
        assert {len(line) for line in lines} == {-(-width // 4)}
    top = (tmp_path / "design" / "rtl" / "accelerator.v").read_text()
    assert '.FILE("a")' in top
    assert '.FILE("b")' in top


def test_same_accelerator_same_bytes(accelerator, tmp_path):
    contents = []
    for name in ("first", "second"):
        generate(accelerator, tmp_path / name)
        contents.append({path.name: path.read_bytes()
                         for path in (tmp_path / name / "rtl").iterdir()})
    assert contents[0] == contents[1]
