"""Outbound: from a turn's answer to Slack messages."""
