"""The platforms: one folder each, none aware of another."""
