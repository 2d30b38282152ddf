"""The edge: bytes and headers become a request, frames become ASGI messages. Below it nobody knows HTTP."""
