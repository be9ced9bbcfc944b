"""Inbound: from a Telegram update to the core."""
