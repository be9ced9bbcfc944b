"""Prompts: the part of a conversation that the model is given, within a token budget. Pure."""
