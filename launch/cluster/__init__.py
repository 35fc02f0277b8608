"""Running campaigns on a cluster."""
