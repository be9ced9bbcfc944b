"""Redis: addresses, clients, scripts, errors, secrets and small facts."""
