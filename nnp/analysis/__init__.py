"""What a potential knows: coverage of environments, choice of configurations."""
