"""The service: adapters, workers and HTTP server of one process."""
