"""Engines that are ASE calculators."""
