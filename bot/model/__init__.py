"""The language model: through ChatOpenAI, at any OpenAI-compatible endpoint or on this machine."""
