"""Markdown of answers as Slack takes it: split into messages, without pings, without hidden addresses. Pure."""
