"""Transports: Socket Mode and HTTP."""
