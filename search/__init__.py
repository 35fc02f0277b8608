"""The evolutionary search for crystal structures."""
