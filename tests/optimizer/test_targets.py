"""Targets as users write them."""

import pytest

from fcnnx.errors import BadInput
from fcnnx.optimizer.targets import Target, merge_targets


@pytest.mark.parametrize(("text", "fields"), [
    ("a=30fps", {"fps": 30.0}), ("a=10ms", {"latency_ms": 10.0}), ("a=2.0", {"weight": 2.0}),
    ("a=1.5e3fps, 0.5", {"fps": 1500.0, "weight": 0.5})])
def test_parse(text, fields):
    assert Target.parse(text) == Target(network="a", **fields)


@pytest.mark.parametrize(("text", "message"), [
    ("30fps", "--targets: '30fps' is not of the form NAME=VALUE."),
    ("a=fast", "--targets: 'fast' of a is not a target."),
    ("a=0fps", "--targets: '0fps' of a is not a target."),
    ("a=1.2.3", "--targets: '1.2.3' of a is not a target."),
    ("a=30fps,40fps", "--targets: a has two targets of one kind: '30fps,40fps'.")])
def test_not_a_target(text, message):
    with pytest.raises(BadInput) as caught:
        Target.parse(text)
    assert str(caught.value).startswith(message)


def test_targets_of_one_network_are_merged():
    merged = merge_targets([Target.parse("b=30fps"), Target.parse("b=2"), Target.parse("b=2")],
                           ["a", "b"])
    assert merged == {"a": Target(network="a"), "b": Target(network="b", fps=30.0, weight=2.0)}
    assert merged["b"].most_cycles(125) == 4_166_666
    assert Target.parse("a=2ms").most_latency(125) == 250_000


def test_all_that_is_wrong_is_told():
    with pytest.raises(BadInput) as caught:
        merge_targets([Target.parse("rne=1"), Target.parse("rnet=1"), Target.parse("rnet=2")],
                      ["rnet", "onet"])
    assert str(caught.value).splitlines() == [
        "--targets: There is no network 'rne'. Did you mean rnet?",
        "--targets: Targets of rnet contradict each other: weight is given twice, and differs. "
        "Give each once."]
