"""Telegram: polling and webhooks, private chats, groups and topics, streaming, buttons."""
