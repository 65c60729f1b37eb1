"""Synthesis: what a build's Verilog takes on its device."""
