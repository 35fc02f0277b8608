"""Tests of the potential."""
