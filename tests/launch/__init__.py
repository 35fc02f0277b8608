"""Tests of running campaigns."""
