import io

from rlvr_harness.progress import EVERY_S, Progress, duration
from rlvr_harness.scheduling import Standing

HALF = Standing(stored=40, remaining=60.5, first_right=3, first_judged=12, solved=1, touched=4, exact=False)


class Screen(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def progress(stream):
    clock = Clock()
    shown = Progress("base", {"t": 64}, stream, clock)
    shown.begin()
    shown.advance("t", 40, 800)
    return shown, clock


def test_a_line_comes_every_ten_seconds_and_says_what_is_known():
    screen = Screen(terminal=False)
    shown, clock = progress(screen)
    for clock.now in (1.0, EVERY_S - 0.1, EVERY_S, EVERY_S + 1):
        shown.show(lambda task: HALF, 7)
    # 40 samples and 800 tokens in 10 s; 60.5 samples left at 4 per s
    assert screen.getvalue() == (
        "base: 40 of about 100 samples, 4 samples/s, 80 tokens/s, 7 to verify, 15 s left; "
        "t pass@1 25.0%, pass@64 25.0% so far\n"
    )


def test_a_terminal_shows_a_table_that_stays_when_the_model_is_done():
    screen = Screen(terminal=True)
    shown, clock = progress(screen)
    clock.now = 1.0
    shown.show(lambda task: HALF, 7)
    shown.finish(lambda task: HALF)
    last = screen.getvalue().splitlines()
    assert any("base: 40 of about 100 samples" in line for line in last)
    assert any("pass@1" in line and "solved so far" in line for line in last)


def test_quiet_says_nothing():
    shown, clock = progress(None)
    clock.now = 100.0
    shown.show(lambda task: HALF, 7)
    shown.finish(lambda task: HALF)
    shown.stop()


def test_a_model_that_needs_no_sample_says_nothing():
    screen = Screen(terminal=False)
    Progress("base", {"t": 64}, screen).finish(lambda task: HALF)
    assert screen.getvalue() == ""


def test_durations_are_told_in_the_unit_that_fits():
    assert [duration(each) for each in (42, 600, 9000)] == ["42 s", "10 min", "2.5 h"]
