"""The neural network potential."""
