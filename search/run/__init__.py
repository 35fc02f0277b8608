"""Driving a search: generations, islands."""
