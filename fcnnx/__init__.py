"""Several trained networks, one proven FPGA accelerator."""
