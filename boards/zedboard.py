"""Avnet ZedBoard, Zynq-7000 XC7Z020."""

from fcnnx.hdl.device import Device, Resources

from . import Board


BOARD = Board(
    name="zedboard",
    description="Avnet ZedBoard, Zynq-7000 XC7Z020",
    device=Device(
        name="XC7Z020", family="xc7", clock_mhz=125.0,
        resources=Resources(dsp=220, bram18=280, lut=53200, ff=106400)),
    dram_gbps=4.2, ports=4, port_width=64, burst_beats=16,
)
