"""Which addresses and names may be called at all."""

import pytest

from rowbox.cacheserver.push.services.addresses import is_public
from rowbox.mailbox.push.target import MAX_URL_CHARACTERS, PushTarget, host_of, is_allowed

NOT_PUBLIC = {
    "this host": ["0.0.0.0", "127.0.0.1", "127.8.8.8", "::", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1", "fec0::1"],
    "link-local, and what clouds tell their machines": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254"],
    "carriers' translators": ["100.64.0.1", "100.127.255.255"],
    "multicast, broadcast, reserved": ["224.0.0.1", "239.1.2.3", "255.255.255.255", "240.0.0.1", "ff02::1", "ff0e::1"],
    "for documents and tests": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "2001:db8::1"],
    "IPv4 in IPv6": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::10.0.0.1"],
    "translated": ["64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1"],
    "translated in a network of one's own": ["64:ff9b:1::a00:1", "64:ff9b:1:fffe::7f00:1", "::ffff:0:127.0.0.1"],
    "given to nobody": ["4000::1", "5f00::1", "100::1", "::2:0:0:1"],
    "tunnels": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "no address": ["", "localhost", "example.com", "127.1", "0x7f000001", "2130706433", "1.2.3.4.5", "[::1]"],
}
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::",
]


@pytest.mark.parametrize("address", [one for some in NOT_PUBLIC.values() for one in some])
def test_what_is_not_of_the_public_internet_is_not_called(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_is_called(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://fcm.googleapis.com/fcm/send/abc:def", "fcm.googleapis.com"),
        ("https://PUSH.Example.com:8443/a?b=c", "push.example.com"),
        ("https://push.example.com", "push.example.com"),
        ("HTTPS://push.example.com?x", "push.example.com"),
        ("http://push.example.com/", None),
        ("ftp://push.example.com/", None),
        ("https://localhost/", None),
        ("https://127.0.0.1/", None),
        ("https://127.1/", None),
        ("https://2130706433/", None),
        ("https://0x7f.1/", None),
        ("https://a.0x7f000001/", None),
        ("https://a.1/", None),
        ("https://[::1]/", None),
        ("https://[::ffff:127.0.0.1]/", None),
        ("https://user:password@push.example.com/", None),
        ("https://push.example.com@127.0.0.1/", None),
        ("https://push.example.com\\@127.0.0.1/", None),
        ("https://push.example.com#@127.0.0.1/", None),
        ("https://push.example.com/#a", None),
        ("https://push.example.com/a b", None),
        ("https://push.example.com/\r\nHost:x", None),
        ("https://push.example.com./", None),
        ("https://push..example.com/", None),
        ("https://-push.example.com/", None),
        ("https://push.example.com:0/", None),
        ("https://push.example.com:65536/", None),
        ("https://push.example.com:/", None),
        ("https://\N{CIRCLED DIGIT ONE}27.0.0.1/", None),
        ("https://push.ex\N{LATIN SMALL LETTER A WITH DIAERESIS}mple.com/", None),
        ("http\N{LATIN SMALL LETTER LONG S}://push.example.com/", None),
        ("https://push.\N{KELVIN SIGN}.com/", None),
        ("https://push.example.com/" + "a" * MAX_URL_CHARACTERS, None),
        ("", None),
    ],
)
def test_an_address_names_a_host_by_a_name_or_is_none(url: str, host: str | None) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://PUSH.example.com/a", "push.example.com"),
        ("https://push.example.com:443/a", "push.example.com"),
        ("https://push.example.com:0443/a", "push.example.com"),
        ("https://push.example.com:8443?a", "push.example.com:8443"),
        ("no address", ""),
    ],
)
def test_another_port_is_another_server(url: str, authority: str) -> None:
    assert PushTarget("web", url, b"").authority == authority


@pytest.mark.parametrize(
    ("host", "patterns", "allowed"),
    [
        ("fcm.googleapis.com", ("fcm.googleapis.com",), True),
        ("evil-fcm.googleapis.com", ("fcm.googleapis.com",), False),
        ("fcm.googleapis.com.evil.com", ("fcm.googleapis.com",), False),
        ("wns2.notify.windows.com", ("*.notify.windows.com",), True),
        ("notify.windows.com", ("*.notify.windows.com",), False),
        ("evilnotify.windows.com", ("*.notify.windows.com",), False),
        ("a.Example.com".lower(), ("A.Example.com",), True),
        ("hooks.example.com", ("*",), True),
        ("hooks.example.com", (), False),
    ],
)
def test_a_host_is_allowed_by_its_whole_name_or_by_what_it_is_below(
    host: str, patterns: tuple[str, ...], allowed: bool
) -> None:
    assert is_allowed(host, patterns) == allowed
