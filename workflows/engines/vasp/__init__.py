"""The VASP engine: inputs, supervision, parsing, and the makers of its jobs."""
