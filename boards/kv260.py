"""AMD Kria KV260 vision kit, Zynq UltraScale+ XCK26."""

from fcnnx.hdl.device import Device, Resources

from . import Board


BOARD = Board(
    name="kv260",
    description="AMD Kria KV260 vision kit, Zynq UltraScale+ XCK26",
    device=Device(
        name="XCK26", family="xcup", clock_mhz=200.0,
        resources=Resources(dsp=1248, bram18=288, uram=64, lut=117120, ff=234240)),
    dram_gbps=19.2, ports=4, port_width=128, burst_beats=256,
)
