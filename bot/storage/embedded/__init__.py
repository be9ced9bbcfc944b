"""Embedded Redis server, started where `REDIS_URL` is unset."""
