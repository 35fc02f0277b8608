"""The state of a search: what it found, what it learned, who may become a parent."""
