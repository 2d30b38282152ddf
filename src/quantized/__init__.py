"""A metered, OpenAI-compatible gateway between an institution's people and its AI providers."""

__version__ = "0.1.0"
