"""Compiled kernels: neighbour lists, symmetry functions, networks, and the way back to forces."""
