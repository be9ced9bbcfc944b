"""Slack: both transports, threads as conversations, streaming, buttons, App Home."""
