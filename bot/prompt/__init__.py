"""Prompts: what the model is given of a conversation, within a token budget."""
