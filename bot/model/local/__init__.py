"""Local model: a small model on this machine, for use without a key."""
