"""Local model: a runtime on this machine, for use without a key."""
