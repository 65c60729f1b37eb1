"""Radiona ULX3S, ECP5 LFE5U-85F."""

from fcnnx.hdl.device import Device, Resources

from . import Board


BOARD = Board(
    name="ulx3s-85f",
    description="Radiona ULX3S, ECP5 LFE5U-85F; its SDRAM is not used",
    device=Device(
        name="LFE5U-85F", family="ecp5", clock_mhz=125.0,
        resources=Resources(dsp=156, bram18=208, lut=83640, ff=83640)),
)
