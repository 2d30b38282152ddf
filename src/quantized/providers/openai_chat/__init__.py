"""The Chat Completions language as an upstream speaks it. A language, not a vendor."""
