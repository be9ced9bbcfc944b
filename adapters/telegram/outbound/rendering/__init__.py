"""Rendering of a model's Markdown as Telegram text and entities. Every function is near linear."""
