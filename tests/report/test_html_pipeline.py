"""The picture of a pipeline: every stage and stream is there, and nothing hides anything."""

import itertools
import json
import random

import pytest

from fcnnx import boards
from fcnnx.optimizer import plan
from fcnnx.report import figures
from fcnnx.report.drawing import pipeline
from fcnnx.report.layout import WIDTH, lay_out

from ..optimizer.networks import small_residual


def engine(blocks, seed):
    """Stages and streams of a long engine with branches of random length, as in report.json."""
    rng = random.Random(seed)
    stages, streams = [], []

    def stage(op, *sources):
        name = f"{op.lower()}_{len(stages)}"
        stages.append({"name": name, "op": op, "interval_cycles": 10, "multipliers": 1, "lut": 1,
                       "dsp": 1})
        for index, (source, output) in enumerate(sources):
            connect(source, output, name, index)
        return name

    def connect(source, output, to, index, kind="stage"):
        streams.append({
            "from": source, "from_kind": "input" if source == "x" else "stage", "output": output,
            "to": to, "to_kind": kind, "input": index, "shape": [4, 4, 4], "width": 8,
            "signed": False, "lanes": 2, "pixels": 1, "bits": 16, "beats": 32,
            "places": rng.choice([0, 4, 900]), "buffer": 0})

    last = stage("Convolution", ("x", 0))
    for _ in range(blocks):
        fork = stage("Fork", (last, 0))
        ends = []
        for output in range(rng.randint(2, 3)):
            end = fork, output
            for _ in range(rng.randint(0, 4)):
                end = stage(rng.choice(["Convolution", "Widen"]), end), 0
            ends.append(end)
        connect(*ends.pop(), f"y{len(stages)}", 0, "output") if len(ends) == 3 else None
        last = stage("Add", *ends)
    connect(last, 0, "y", 0, "output")
    return stages, streams


def crosses(box, start, end):
    """Whether a piece of a line goes through the inside of a box."""
    (x0, x1), (y0, y1) = (sorted(pair) for pair in zip(start, end, strict=True))
    return (x0 < box.x + box.width - 1 and x1 > box.x + 1
            and y0 < box.y + box.height - 1 and y1 > box.y + 1)


@pytest.mark.parametrize(("blocks", "seed"), [(0, 1), (1, 2), (3, 3), (6, 4), (12, 5), (25, 6)])
def test_layout(blocks, seed):
    stages, streams = engine(blocks, seed)
    layout = lay_out(stages, streams)
    assert [box.name for box in layout.boxes if box.kind == "stage"] == [
        stage["name"] for stage in stages]
    boxes = {(box.kind, box.name): box for box in layout.boxes}
    ends = {("input", "x")} | {("output", stream["to"]) for stream in streams
                               if stream["to_kind"] == "output"}
    assert set(boxes) == ends | {("stage", stage["name"]) for stage in stages}
    for one, other in itertools.combinations(layout.boxes, 2):
        assert (one.x + one.width <= other.x or other.x + other.width <= one.x
                or one.y + one.height <= other.y or other.y + other.height <= one.y)
    assert [line.stream for line in layout.lines] == streams
    for line in layout.lines:
        source = boxes[line.stream["from_kind"], line.stream["from"]]
        target = boxes[line.stream["to_kind"], line.stream["to"]]
        (x, y), (u, v) = line.points[0], line.points[-1]
        assert source.x < x <= source.x + source.width
        assert source.y < y <= source.y + source.height
        assert target.x < u <= target.x + target.width
        assert target.y <= v < target.y + target.height
        for start, end in itertools.pairwise(line.points):
            assert start[0] == end[0] or start[1] == end[1]
            if start[0] == end[0]:  # across, lines may pass in front of others, not of boxes
                assert not any(crosses(box, start, end) for box in layout.boxes)
        for x, y in (*line.points, line.label):
            assert 0 <= x <= layout.width
            assert 0 <= y <= layout.height
    assert all(box.x + box.width <= layout.width for box in layout.boxes)
    assert layout.width <= WIDTH + 50


def test_labels_do_not_meet():
    stages, streams = engine(8, 7)
    labels = [line.label for line in lay_out(stages, streams).lines]
    for (x, y), (u, v) in itertools.combinations(labels, 2):
        assert abs(x - u) >= 150 or abs(y - v) >= 12


def test_drawing(planned):
    svg = pipeline(planned["networks"]["b"])
    assert svg.count('class="frame"') == 4
    assert svg.count("<polyline") == 6
    assert svg.count(">bottleneck</text>") == 1
    assert "777 deep" in svg
    assert svg.count('class="queue deep"') == 1
    assert "&lt;conv &amp;" in svg
    assert "<conv" not in svg


def test_of_a_plan():
    decided = plan([small_residual()], boards.get("zedboard"), io="stream")
    report = json.loads(json.dumps(figures.report(decided), allow_nan=False))
    network = report["networks"]["small_residual"]
    (spec,) = decided.accelerator.engines
    operators = {stage.name: stage.operator for stage in spec.stages}
    assert len(network["streams"]) == len(spec.sources)
    for stream in network["streams"]:
        shape = (dict(spec.inputs)[stream["from"]] if stream["from_kind"] == "input"
                 else operators[stream["from"]].outputs[stream["output"]])
        assert (stream["bits"], stream["beats"]) == (shape.width, shape.beats)
        assert stream["shape"] == list(shape.map.shape)
        assert (stream["places"] == 0) == (stream["from_kind"] == "input")
        if stream["from"].endswith("_fork"):
            assert stream["places"] == operators[stream["from"]].places[stream["output"]]
    for stage in network["stages"]:
        operator = operators[stage["name"]]
        for name, value in stage["folding"].items():
            given = getattr(operator, name)
            assert value == (list(given) if isinstance(given, tuple) else given)
        assert (stage["memory_bits"] > 0) == (stage["op"] in ("Convolution", "GlobalAveragePool"))
    assert pipeline(network).count("<polyline") == len(spec.sources)
