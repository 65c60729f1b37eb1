"""AMD ZCU102 evaluation kit, Zynq UltraScale+ XCZU9EG."""

from fcnnx.hdl.device import Device, Resources

from . import Board


BOARD = Board(
    name="zcu102",
    description="AMD ZCU102 evaluation kit, Zynq UltraScale+ XCZU9EG",
    device=Device(
        name="XCZU9EG", family="xcup", clock_mhz=200.0,
        resources=Resources(dsp=2520, bram18=1824, lut=274080, ff=548160)),
    dram_gbps=19.2, ports=4, port_width=128, burst_beats=256,
)
