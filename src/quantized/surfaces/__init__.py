"""The APIs that clients speak to us."""
