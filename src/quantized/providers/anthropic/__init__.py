"""The Messages API of Anthropic: a language of its own."""
