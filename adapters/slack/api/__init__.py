"""Slack Web API: client, limits, errors, and what is read through it."""
