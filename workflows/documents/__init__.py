"""Output documents."""
