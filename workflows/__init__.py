"""The task graph: jobflow Makers, one module a stage."""
