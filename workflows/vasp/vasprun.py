"""Former place of :mod:`workflows.engines.vasp.vasprun`."""

from workflows.engines.vasp.vasprun import read_steps

__all__ = ["read_steps"]
