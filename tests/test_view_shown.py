"""Texts of models are data: whatever they hold, the page shows it and nothing of it acts."""

import pytest

from rlvr_harness.viewing.guard import Guard, host_name, is_loopback
from rlvr_harness.viewing.rendering import problem_url
from rlvr_harness.viewing.shown import one_line, preview, visible


def box(number, name, shown):
    return f'<span class="hidden-char" title="{number} {name}">{shown}</span>'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>&\"'", "&lt;b&gt;&amp;&#34;&#39;"),
        ("a\r\nb\tc\n", "a\nb\tc\n"),
        ("\x00", box("U+0000", "control character", "␀")),
        ("\x1b[31m", box("U+001B", "control character", "␛") + "[31m"),
        ("\u202eevil", box("U+202E", "RIGHT-TO-LEFT OVERRIDE", "U+202E") + "evil"),
        ("\u200b\u200b\u200b", box("U+200B", "ZERO WIDTH SPACE", "U+200B\N{MULTIPLICATION SIGN}3")),
        ("\ud800", box("U+D800", "no character", "U+D800")),
        ("\U000e0041", box("U+E0041", "TAG LATIN CAPITAL LETTER A", "U+E0041")),
        ("é 漢 שלום ∅", "é 漢 שלום ∅"),
    ],
)
def test_what_hides_or_steers_is_shown_by_its_name(text, shown):
    assert visible(text) == shown


def test_a_text_of_nothing_but_hidden_characters_stays_small():
    assert len(visible("\x00\x01" * 500_000)) < 2_500_000


def test_a_line_is_cut_and_has_no_breaks():
    assert one_line("a\n b\t" + "c" * 50, 8) == "a b ccc…"


def test_a_long_text_keeps_its_end_where_the_answer_stands():
    shown = preview("a" * 500 + "b" * 500, 100)
    assert shown.startswith("a" * 50 + "\n") and shown.endswith("\n" + "b" * 50) and "900 characters left out" in shown


@pytest.mark.parametrize(
    ("problem_id", "url"),
    [("../x", "..%2Fx"), ("a&b=c#d", "a%26b%3Dc%23d"), ('"><script>', "%22%3E%3Cscript%3E"), ("\ud800", "%EF%BF%BD")],
)
def test_any_id_has_an_address(problem_id, url):
    # A lone surrogate is three bytes in no UTF-8; each is replaced.
    assert problem_url("t", problem_id).replace("%EF%BF%BD" * 3, "%EF%BF%BD") == f"/problem?task=t&id={url}"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)],
)
def test_only_loopback_needs_no_token(host, loopback):
    assert is_loopback(host) is loopback
    assert bool(Guard.make(host, None).token) is not loopback


@pytest.mark.parametrize(
    ("header", "name"),
    [("localhost:80", "localhost"), ("[::1]:80", "::1"), ("EVIL.example", "evil.example"), ("[", "")],
)
def test_the_name_in_a_host_header(header, name):
    assert host_name(header) == name


def test_each_server_has_secrets_of_its_own():
    one, other = Guard.make("0.0.0.0", None), Guard.make("0.0.0.0", None)
    assert len({one.token, other.token, one.form_secret, other.form_secret, one.session, other.session}) == 6


@pytest.mark.parametrize(
    ("headers", "secret", "fits"),
    [
        ({"Host": "localhost:1"}, None, True),
        ({"Host": "localhost:1", "Origin": "http://localhost:1", "Sec-Fetch-Site": "same-origin"}, None, True),
        ({"Host": "localhost:1", "Origin": "null"}, None, True),
        ({"Host": "localhost:1", "Origin": "http://localhost:2"}, None, False),
        ({"Host": "localhost:1", "Origin": "http://evil.example"}, None, False),
        ({"Host": "localhost:1", "Sec-Fetch-Site": "cross-site"}, None, False),
        ({"Host": "localhost:1", "Sec-Fetch-Site": "same-site"}, None, False),
        ({"Host": "localhost:1"}, "", False),
        ({"Host": "localhost:1"}, "wrong\ud800", False),
    ],
)
def test_a_form_counts_only_from_a_page_of_ours(headers, secret, fits):
    guard = Guard.make("127.0.0.1", None)
    assert guard.form_fits(headers, guard.form_secret if secret is None else secret) is fits
