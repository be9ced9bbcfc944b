"""Turns: from a question to a delivered answer."""
