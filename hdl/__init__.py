"""Streaming hardware for integer neural networks: operators, engines, accelerators, in Amaranth."""
