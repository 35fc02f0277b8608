"""Training a potential on frames."""
