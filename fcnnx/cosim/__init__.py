"""Co-simulation: the Verilog of a design in Verilator or Icarus, held against the golden model."""

from fcnnx.cosim.check import Check, Difference, SimulationResult, check, first_difference, prove
from fcnnx.cosim.simulation import Measurement, Run, measure, run


__all__ = ["Check", "Difference", "Measurement", "Run", "SimulationResult", "check",
           "first_difference", "measure", "prove", "run"]
