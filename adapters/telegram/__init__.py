"""Telegram adapter: polling and webhooks, private chats, groups and topics, streaming, buttons."""
