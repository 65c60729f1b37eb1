"""AMD ZC706 evaluation kit, Zynq-7000 XC7Z045."""

from fcnnx.hdl.device import Device, Resources

from . import Board


BOARD = Board(
    name="zc706",
    description="AMD ZC706 evaluation kit, Zynq-7000 XC7Z045; memory of the processor's side",
    device=Device(
        name="XC7Z045", family="xc7", clock_mhz=125.0,
        resources=Resources(dsp=900, bram18=1090, lut=218600, ff=437200)),
    dram_gbps=4.2, ports=4, port_width=64, burst_beats=16,
)
