"""Inbox: accepted messages in Redis Streams, each conversation strictly in order."""
