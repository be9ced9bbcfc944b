"""Refusals: bodies, kinds and lessons."""
