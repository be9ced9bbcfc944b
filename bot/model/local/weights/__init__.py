"""Weights of the local model: where they come from and where they are kept."""
