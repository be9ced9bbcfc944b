"""Weights of the local model: their sources, and the store on disk."""
