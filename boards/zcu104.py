"""AMD ZCU104 evaluation kit, Zynq UltraScale+ XCZU7EV."""

from fcnnx.hdl.device import Device, Resources

from . import Board


BOARD = Board(
    name="zcu104",
    description="AMD ZCU104 evaluation kit, Zynq UltraScale+ XCZU7EV",
    device=Device(
        name="XCZU7EV", family="xcup", clock_mhz=200.0,
        resources=Resources(dsp=1728, bram18=624, uram=96, lut=230400, ff=460800)),
    dram_gbps=19.2, ports=4, port_width=128, burst_beats=256,
)
