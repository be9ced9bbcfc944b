"""Transports: polling and webhook."""
