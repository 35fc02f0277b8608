"""Tests of the structure search."""
