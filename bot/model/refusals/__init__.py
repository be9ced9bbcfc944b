"""Refusals of endpoints: their bodies, the errors they mean, and what they teach of an endpoint. Pure."""
