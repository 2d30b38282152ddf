"""Load against the gateway and against nginx, side by side. See docs/benchmark.md."""
