"""Parts that several adapters have in common; none of them knows a platform."""
