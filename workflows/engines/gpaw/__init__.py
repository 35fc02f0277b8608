"""GPAW as a reference engine: plane waves without a licence."""
