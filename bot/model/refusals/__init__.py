"""Error answers of model endpoints: parsed, turned into our errors, and learned from."""
