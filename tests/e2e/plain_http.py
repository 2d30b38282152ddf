"""Single requests to servers of the tests, each on a connection of its own.

What `httpx.get` and `httpx.post` do, but for the system's certificates: nobody here speaks TLS, and to read
them again for each request takes longer than the request.
"""

import httpx

HTTP = httpx.Client(verify=False, timeout=50, limits=httpx.Limits(max_keepalive_connections=0))
