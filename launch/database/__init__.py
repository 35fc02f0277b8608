"""The database of campaigns."""
