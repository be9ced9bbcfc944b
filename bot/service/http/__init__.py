"""HTTP port of a service: probes, metrics and the webhooks of adapters, with limits on strangers."""

from bot.service.http.app import HEALTH_PATH, METRICS_PATH, READY_PATH, create_app
from bot.service.http.limits import HttpLimits, raise_descriptor_limit
from bot.service.http.server import serve

__all__ = [
    "HEALTH_PATH",
    "METRICS_PATH",
    "READY_PATH",
    "HttpLimits",
    "create_app",
    "raise_descriptor_limit",
    "serve",
]
