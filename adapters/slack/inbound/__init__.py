"""Inbound: from a Slack payload to the core."""
