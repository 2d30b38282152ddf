"""The story of a request: route, quote, hold, send, translate, settle."""
