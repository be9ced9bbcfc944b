"""Priority of an API call where the platform's rate limit is short."""

from __future__ import annotations

from typing import Literal

Priority = Literal["required", "best_effort"]
"""`required` waits for its turn; `best_effort` is dropped where there is no room at once."""
