"""The register file: one description gives hardware, documentation, a C header and constants."""

from .accelerator import accelerator_registers, connect_network, connect_port
from .description import Field, Register, RegisterMap
from .hardware import RegisterFile, axi_lite
from .text import c_header, constants, markdown


__all__ = ["Field", "Register", "RegisterFile", "RegisterMap", "accelerator_registers", "axi_lite",
           "c_header", "connect_network", "connect_port", "constants", "markdown"]
