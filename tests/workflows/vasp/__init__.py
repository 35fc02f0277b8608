"""The VASP engine."""
