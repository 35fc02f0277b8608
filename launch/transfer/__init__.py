"""Campaigns that travel: out of a folder or a database into a file, and into another."""
