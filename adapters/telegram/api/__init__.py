"""Bot API: client, limits, errors, and tolerance for other server versions."""
