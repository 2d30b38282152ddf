"""Stored conversations: what a request needs of them, and for how long they are kept."""
