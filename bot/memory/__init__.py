"""Memory: conversations in Redis, read before the model is called and written after."""
