"""Reports of tests, as the supervisor packs them and the judge's side reads them."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr_sandbox.jail import wire
from rlvr_sandbox.records import Exit

REPORTS = st.builds(
    wire.Report,
    st.integers(0, 2**32 - 1),
    *[st.floats(0, 1e6)] * 2,
    st.just(12.5),
    st.sampled_from([how.value for how in Exit]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.binary(max_size=300),
)


@given(st.lists(REPORTS, max_size=12))
def test_reports_come_back_as_they_went_in_one_frame(reports):
    frame = wire.pack_reports(reports, 12.5)
    kind, size = wire.head(frame)
    assert (kind, size) == (b"T", len(frame) - wire.HEAD_SIZE)
    assert list(wire.unpack_reports(frame[wire.HEAD_SIZE :])) == reports


@given(st.lists(REPORTS, min_size=1, max_size=3), st.data())
def test_a_cut_frame_never_gives_its_last_report(reports, data):
    body = wire.pack_reports(reports, 12.5)[wire.HEAD_SIZE :]
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    seen = []
    with contextlib.suppress(ValueError, struct.error):
        seen.extend(wire.unpack_reports(cut))
    assert seen == reports[: len(seen)]
    assert len(seen) < len(reports)


def test_every_way_that_a_test_ends_has_a_number():
    for how in Exit:
        (report,) = wire.unpack_reports(
            wire.pack_reports([wire.Report(1, 0.5, 0.25, 0.0, how.value, "", b"x")], 3.0)[wire.HEAD_SIZE :]
        )
        assert (report.how, report.peak_mb) == (how.value, 3.0)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_report_are_refused_or_read_and_nothing_else(body):
    try:
        for report in wire.unpack_reports(body):
            assert report.how in [how.value for how in Exit]
    except (ValueError, struct.error):
        pass


def test_a_number_that_names_no_end_is_refused():
    body = bytearray(wire.pack_reports([wire.Report(0, 0.0, 0.0, 0.0, "died", "", b"")], 0.0)[wire.HEAD_SIZE :])
    body[struct.calcsize("<Iddd")] = 200
    with pytest.raises(ValueError, match="not a report"):
        list(wire.unpack_reports(bytes(body)))
