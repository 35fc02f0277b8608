"""Relaxing many structures at once."""
