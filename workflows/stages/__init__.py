"""One module a stage of the prediction."""
