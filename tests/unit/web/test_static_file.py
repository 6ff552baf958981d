"""What a client gets of a file that everybody gets: which coding, and whether at all."""

import gzip

import pytest

from rowbox.api.web.static_file import StaticFile, takes_gzip

BODY = b"the same words, " * 100
FILE = StaticFile(BODY, "text/plain", {"X-Shared": "yes"})


def tag_of(headers: str) -> str:
    return next(line[6:] for line in headers.split("\r\n") if line.lower().startswith("etag: "))


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("br, gzip", True),
        ("deflate, br;q=1.0, *;q=0.5", True),
        ("GZip ; Q=0.2", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("x-gzip", False),
        ("gzip;q=much", True),
        (";;,,=", False),
    ],
)
def test_a_client_that_takes_gzip(header: str, takes: bool) -> None:
    assert takes_gzip(header) is takes


def test_each_coding_has_its_own_strong_tag() -> None:
    plain, coded = FILE.chosen(None, None), FILE.chosen("gzip", None)
    assert (plain.status, plain.body) == (200, BODY)
    assert "Content-Encoding" not in plain.headers
    assert (coded.status, gzip.decompress(coded.body)) == (200, BODY)
    assert "Content-Encoding: gzip\r\n" in coded.headers
    assert tag_of(plain.headers) != tag_of(coded.headers)
    assert tag_of(plain.headers)[0] == tag_of(coded.headers)[0] == '"'


def test_who_has_it_gets_no_body_and_the_headers_that_may_have_changed() -> None:
    tag = tag_of(FILE.chosen("gzip", None).headers)
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = FILE.chosen("gzip", header)
        assert (answer.status, answer.body) == (304, b"")
        assert "X-Shared: yes\r\n" in answer.headers
        assert "Vary: Accept-Encoding\r\n" in answer.headers
        assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("header", ['"other"', "", "W/", '"', tag_of(FILE.chosen(None, None).headers).strip('"')])
def test_another_tag_or_another_codings_gets_the_file(header: str) -> None:
    assert FILE.chosen("gzip", header).status == 200
    assert FILE.chosen("gzip", tag_of(FILE.chosen(None, None).headers)).status == 200


def test_the_tag_stands_for_the_bytes() -> None:
    tags = {tag_of(StaticFile(body, "text/plain", {}).chosen(None, None).headers) for body in (BODY, BODY, b"", b"x")}
    assert len(tags) == 3


def test_what_does_not_shrink_stays_plain() -> None:
    assert StaticFile(b"tiny", "text/plain", {}).chosen("gzip", None).body == b"tiny"
