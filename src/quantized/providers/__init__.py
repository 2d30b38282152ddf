"""The APIs that we speak upstream."""
