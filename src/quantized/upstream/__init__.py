"""The outgoing HTTP/1.1 client: connections, timeouts, backpressure, cancellation."""
