"""An answer in Slack: its messages, their growth, and other ways to hand it over."""
