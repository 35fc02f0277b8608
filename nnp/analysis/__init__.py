"""What a potential knows, and how well it ranks: coverage, choice of configurations, ranking."""
