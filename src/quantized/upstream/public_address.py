"""Which addresses belong to the public internet, and to nobody's inside. Pure.

The tables are ours as well as the standard library's, whose answers differ between its versions.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address

_NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # between a carrier and its customers; one cloud's metadata service
            "127.0.0.0/8",
            "168.63.129.16/32",  # one cloud's metadata service, in the middle of its public addresses
            "169.254.0.0/16",  # link-local, with the metadata services of most clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; one cloud's metadata service
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)

# Of IPv6 only this has been given out. Unspecified, loopback, IPv4-compatible, unique local (with a metadata
# service), link-local, site-local and multicast addresses lie beyond it.
_GIVEN_OUT_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, among them Teredo
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: a tunnel to an IPv4 address; nobody serves anything from there any more
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: IPAddress) -> bool:
    """Whether anybody on the internet would reach the same host under this address.

    An IPv4 address inside an IPv6 one (mapped, NAT64) is judged as what it is.
    """
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_V4)
    if address.scope_id is not None:
        return False
    inside = _inside(address)
    if inside is not None:
        return is_public(inside)
    return (
        address.is_global
        and address in _GIVEN_OUT_V6
        and not any(address in network for network in _NOT_PUBLIC_V6)
    )


def _inside(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped
