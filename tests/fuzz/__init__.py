"""Nonsense typed and nonsense in files: no traceback, no hang, and nothing of it accepted."""
