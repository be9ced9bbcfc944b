"""Redis: URLs, clients, scripts, errors, secrets and key-value facts."""
