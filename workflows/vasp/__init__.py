"""Former place of :mod:`workflows.engines.vasp`, for scripts that import from here."""
