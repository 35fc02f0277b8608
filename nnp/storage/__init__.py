"""How arrays, files and checkpoints are stored."""
