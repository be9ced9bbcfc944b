"""The core of Keepthread: conversations, memory, model, tracing. Knows no platform."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("keepthread")
except PackageNotFoundError:  # run from a folder that was never installed
    __version__ = "0.0.0"
