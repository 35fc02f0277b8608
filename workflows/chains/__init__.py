"""What strings the stages together, and the protocols."""
