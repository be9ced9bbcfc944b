"""Outbound: from a turn's answer to Telegram messages."""
