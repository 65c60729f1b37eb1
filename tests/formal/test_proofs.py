"""What holds in all that can happen, at small sizes; and that seeded mistakes are found."""

import pytest
from ports import ReadHarness, WalkHarness, WriteHarness
from properties import (
    BufferHarness,
    QueueHarness,
    SchedulerHarness,
    SpillHarness,
    TurnsHarness,
)
from prover import decide, mutation
from stripes import MergeHarness, SplitHarness

from fcnnx.hdl import streams
from fcnnx.hdl.memory import arbiter, channel, reader, scheduler, spill, stripes, writer
from fcnnx.hdl.operators import plumbing


PORT = {"bursts": (2, 2), "places": (2, 2), "outstanding": 2, "table": (0, 1)}
SEVERAL = {"bursts": (2, 1), "places": (3, 2), "outstanding": 3, "table": (0, 1)}
TABLE = {"table": (0, 1, 0, 2)}
STRIPES = {"burst": 2, "words": 10, "stripes": 3}


@pytest.mark.parametrize(("harness", "sizes"), [
    (QueueHarness, {"places": 3, "stages": 0}),
    (QueueHarness, {"places": 4, "stages": 1}),
    (BufferHarness, {"places": 4}),
    (SchedulerHarness, TABLE),
    (TurnsHarness, {"count": 3}),
    (SpillHarness, {"bursts": 5}),
    (WalkHarness, {"burst": 256}),
    (WalkHarness, {"burst": 64, "stride": 3}),
    (ReadHarness, PORT),
    (WriteHarness, PORT),
    (MergeHarness, STRIPES),
    (SplitHarness, STRIPES),
    (MergeHarness, {"burst": 4, "words": 8, "stripes": 2}),
    (SplitHarness, {"burst": 4, "words": 8, "stripes": 2}),
])
def test_proved(harness, sizes):
    assert decide(harness(**sizes), timeout=300).result == "proved"


@pytest.mark.parametrize(("harness", "sizes", "module", "old", "new"), [
    (QueueHarness, {"places": 3, "stages": 0}, streams,
     "queue.r_en.eq(self.o.ready)", "queue.r_en.eq(1)"),
    (QueueHarness, {"places": 3, "stages": 0}, streams,
     "left >= self.need", "left + 1 >= self.need"),
    (BufferHarness, {"places": 4}, plumbing,
     "m.d.comb += self.i.ready.eq(queue.enough)\n", "m.d.comb += self.i.ready.eq(1)\n"),
    (SchedulerHarness, TABLE, scheduler,
     "self.select & self.requests & self.room)", "self.select & self.requests)"),
    (SchedulerHarness, TABLE, scheduler,
     "following == len(table) - 1", "following == len(table) - 2"),
    (TurnsHarness, {"count": 3}, arbiter,
     "~(self.select | (self.select - 1))", "~(self.select - 1)"),
    (SpillHarness, {"bursts": 5}, spill,
     "self.stored.eq(following != 0)", "self.stored.eq(count != 0)"),
    (SpillHarness, {"bursts": 5}, reader,
     "wanted & self.allowed if", "wanted if"),
    (WalkHarness, {"burst": 256}, channel,
     "waiting & (~self.active | (self.take & self.last))", "waiting & ~self.active"),
    (ReadHarness, {**SEVERAL, "aspect": "places"}, reader,
     "beyond >= 0", "beyond >= -1"),
    (ReadHarness, {**SEVERAL, "aspect": "words"}, reader,
     "order.o.ready.eq(came & last)", "order.o.ready.eq(came)"),
    (WriteHarness, {**SEVERAL, "aspect": "places"}, writer,
     "beyond >= 0", "beyond >= -1"),
    (WriteHarness, {**SEVERAL, "aspect": "words"}, writer,
     "words.o.ready.eq(side.wready)", "words.o.ready.eq(1)"),
    (MergeHarness, STRIPES, stripes,
     "port.ready.eq(self.o.ready & chosen[k])", "port.ready.eq(chosen[k])"),
    (MergeHarness, STRIPES, stripes,
     "number == words // burst - 1", "number == words // burst - 2"),
    (SplitHarness, STRIPES, stripes,
     "self.i.valid & self.i.ready, burst", "self.i.valid, burst"),
    (SplitHarness, STRIPES, stripes,
     "last = word == burst - 1", "last = word == burst - 2"),
])
def test_refuted(harness, sizes, module, old, new):
    with mutation(module, old, new):
        verdict = decide(harness(**sizes))
    assert verdict.result == "refuted"
