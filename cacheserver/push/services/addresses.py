"""Which addresses of the network may be called: those of the public internet.

An address may hold another one (IPv4 in IPv6, 6to4, NAT64): then both have to be public. What a name's addresses were
found to be is true of these addresses only, so whoever connects uses them as they are, and asks for none again.
"""

import ipaddress
from typing import Final

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All that was ever given to anybody. What lies outside is taken for global by some versions of Python: addresses that
translate to private ones (64:ff9b:1::/48, ::ffff:0:0:0/96), and segment routing (5f00::/16).
"""
_TEREDO: Final = ipaddress.IPv6Network("2001::/32")


def is_public(text: str) -> bool:
    """Whether this is an address of the public internet. False for what is no address, or has a scope (fe80::1%eth0).

    Not public are those of this host, of private and link-local networks, of carriers' translators (100.64.0.0/10),
    multicast, and what is reserved or for documents.
    """
    if "%" in text:
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    if address in _TEREDO:
        return False  # it holds two addresses, one of them in disguise; nobody serves there
    held = _held_in(address)
    if held is not None:
        return is_public(str(held))
    return address in _UNICAST and address.is_global


def _held_in(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or address in _COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
