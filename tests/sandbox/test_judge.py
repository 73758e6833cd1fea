"""What the judge says of what boxes tell, and what it does when they fail."""

import threading
from dataclasses import replace

import pytest

from rlvr_sandbox.cache import Cache
from rlvr_sandbox.errors import SandboxUnavailable, TaskInvalid
from rlvr_sandbox.jail import given, tagged
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.records import CodeTask, Exit, Ruling, Style
from rlvr_sandbox.records import TestRun as Run

RIGHT = "def f(x):\n    return 2 * x\n"
WRONG = "def f(x):\n    return x + 1\n"  # right for 1, wrong for 5


def returned(value):
    return Run(Exit.RETURNED, tagged.encode(value, 1 << 20))


def test_a_right_program_passes_and_earns_1(fake, twice):
    with Judge(fake(), workers=1) as judge:
        judgement = judge.judge(RIGHT, twice)
        assert (judgement.ruling, judgement.reason, judgement.level, judgement.test) == (Ruling.PASS, "passed", 3, None)
        assert judge.reward(RIGHT, twice) == 1.0


def test_a_wrong_program_fails_at_its_first_wrong_test_and_earns_0(fake, twice):
    with Judge(fake(), workers=1) as judge:
        judgement = judge.judge(WRONG, twice)
        assert (judgement.ruling, judgement.reason, judgement.test) == (Ruling.FAIL, "wrong_answer", 1)
        assert judge.reward(WRONG, twice) == 0.0


@pytest.mark.parametrize(
    "runs, reason, test",
    [
        ([returned(2)], "missing_output", 1),
        ([], "missing_output", 0),
        ([returned(2), returned(10), returned(10)], "extra_output", 1),
        ([returned(2), Run(Exit.RETURNED, b"\xff\x00")], "malformed_output", 1),
        ([returned(2), Run(Exit.RETURNED, b"")], "malformed_output", 1),
        ([returned(2), Run(Exit.RETURNED, tagged.encode(10, 99) + b"N")], "malformed_output", 1),
        ([returned(2), returned(object())], "opaque_output: object", 1),
        ([Run(Exit.RETURNED, b"x" * (1 << 20) + b"x")], "output_limit", 0),
        ([returned(2), Run(Exit.RAISED, detail="Zero[31mDivision\n")], "raised: Zero_31mDivision_", 1),
        ([Run(Exit.MEMORY)], "memory", 0),
        ([Run(Exit.DIED)], "died", 0),
        ([Run(Exit.OUTPUT)], "output_limit", 0),
    ],
)
def test_anything_but_the_right_outputs_in_number_and_form_fails(fake, told, twice, runs, reason, test):
    with Judge(fake(told(*runs)), workers=1) as judge:
        judgement = judge.judge("program", twice)
    assert (judgement.ruling, judgement.reason, judgement.test) == (Ruling.FAIL, reason, test)


def test_outputs_in_another_order_fail(fake, twice):
    def backwards(box, job, accept):
        accept(1, returned(10))
        accept(0, returned(2))

    with Judge(fake(backwards), workers=1) as judge:
        assert judge.judge("program", twice).reason == "extra_output"


def test_the_box_never_sees_an_expected_answer(fake, here):
    seen = []

    def spy(box, job, accept):
        seen.append(job)
        here(box, job, accept)

    task = CodeTask("secret", Style.FUNCTION, [[1]], ["the hidden answer"], entry="f")
    with Judge(fake(spy), workers=1) as judge:
        judge.judge(RIGHT, task)
    assert b"hidden" not in repr(seen).encode()


def test_a_larger_expected_answer_allows_a_larger_output(fake, here):
    caps = []

    def spy(box, job, accept):
        caps.append(list(job.output_caps))
        here(box, job, accept)

    size = 100_000  # encoded: a tag, four bytes of length, the text; 16 x 100,005 is more than 1 MiB
    task = CodeTask("large", Style.FUNCTION, [[1], [2]], ["x" * size, "y"], entry="f")
    with Judge(fake(spy), workers=1) as judge:
        judge.judge(RIGHT, task)
    assert caps[0] == [16 * (size + 5), 1 << 20]


def test_a_lost_box_is_replaced_and_the_program_judged_on_a_fresh_one(fake, here, twice):
    def lose_first(box, job, accept):
        if box is backend.boxes[0]:
            accept(0, Run(Exit.LOST, detail="pipe broke"))
        else:
            here(box, job, accept)

    backend = fake(lose_first)
    with Judge(backend, workers=1) as judge:
        assert judge.judge(RIGHT, twice).ruling is Ruling.PASS
    assert [box.closed for box in backend.boxes] == [True, True]


def test_a_program_that_loses_three_boxes_is_void_and_earns_nothing(fake, told, twice):
    backend = fake(told(Run(Exit.LOST, detail="pipe broke")))
    with Judge(backend, workers=1) as judge:
        judgement = judge.judge("program", twice)
        assert (judgement.ruling, judgement.reason) == (Ruling.VOID, "sandbox_lost: pipe broke")
        assert len(backend.boxes) == 3
        assert judge.reward("program", twice) is None


def test_a_backend_that_raises_is_a_lost_box_not_a_wrong_program(fake, twice):
    def burst(box, job, accept):
        accept(0, returned(3))
        raise KeyError("bug")

    with Judge(fake(burst), workers=1) as judge:
        assert judge.judge("program", twice).ruling is Ruling.VOID


def test_a_timeout_beside_another_program_is_run_again_alone(fake, here, twice):
    together, running, alone_runs = threading.Barrier(2, timeout=20), [], []
    lock = threading.Lock()

    def slow_in_company(box, job, accept):
        with lock:
            running.append(box)
        first = len(box.programs) == 1
        if first:
            together.wait()
        company = len(running) > 1
        if first:
            together.wait()
        if b"slow" in job.program and company:
            accept(0, Run(Exit.TIMEOUT))
        else:
            alone_runs.append((job.program, company))
            here(box, job, accept)
        with lock:
            running.remove(box)

    with Judge(fake(slow_in_company), workers=2) as judge:
        rulings = [each.ruling for each in judge.judge_all([(RIGHT + "# slow", twice), (RIGHT, twice)])]
    assert rulings == [Ruling.PASS, Ruling.PASS]
    assert ((RIGHT + "# slow").encode(), False) in alone_runs


@pytest.mark.parametrize("cpu_s, runs", [(6.0, 1), (0.1, 2)])
def test_a_timeout_that_was_alone_counts_at_once_only_if_it_used_its_processor_time(fake, told, twice, cpu_s, runs):
    backend = fake(told(Run(Exit.TIMEOUT, cpu_s=cpu_s)))
    with Judge(backend, workers=1) as judge:
        assert judge.judge("program", twice).reason == "timeout"
    assert backend.boxes[0].programs == ["program"] * runs


def test_a_wrong_answer_is_never_run_again(fake, twice):
    backend = fake()
    with Judge(backend, workers=2) as judge:
        assert judge.judge(WRONG, twice).ruling is Ruling.FAIL
    assert [program for box in backend.boxes for program in box.programs] == [WRONG]


def test_a_box_that_says_right_to_everything_is_found_out_by_its_canaries(fake, here, twice):
    def lazy(box, job, accept):
        if box is not backend.boxes[0]:
            here(box, job, accept)
            return
        value = given.decode(job.inputs[0])[0]
        accept(0, returned(value + 1))  # right for both canaries and for WRONG, whatever the program says

    one = replace(twice, inputs=[[1]], expected=[2])
    backend = fake(lazy)
    with Judge(backend, workers=1, canary_every=1) as judge:
        assert judge.judge("def f(x):\n    return 7\n", one).ruling is Ruling.FAIL
    assert backend.boxes[0].closed
    assert len(backend.boxes) == 2


def test_judge_all_judges_again_what_a_bad_box_ruled_since_its_last_good_canary(fake, here, twice):
    def rots(box, job, accept):
        if box is backend.boxes[0] and len(box.programs) >= 3:  # the canaries come last
            accept(0, returned(0))
        else:
            here(box, job, accept)

    backend = fake(rots)
    programs = [RIGHT, RIGHT + "# again", RIGHT + "# third", WRONG]
    with Judge(backend, workers=1) as judge:
        rulings = [each.ruling for each in judge.judge_all((program, twice) for program in programs)]
    assert rulings == [Ruling.PASS, Ruling.PASS, Ruling.PASS, Ruling.FAIL]
    assert programs[0] in backend.boxes[1].programs


def test_judge_all_keeps_the_order_over_several_boxes(fake, twice):
    # more than are held back at once, so that results come while others wait
    programs = [RIGHT if number % 3 else WRONG for number in range(900)]
    with Judge(fake(), workers=3, cache=Cache(0)) as judge:
        rulings = [each.ruling for each in judge.judge_all((f"{p}#{i}", twice) for i, p in enumerate(programs))]
    assert rulings == [Ruling.PASS if number % 3 else Ruling.FAIL for number in range(900)]


def test_a_worn_out_box_is_replaced(fake, here, twice):
    def wear(box, job, accept):
        here(box, job, accept)
        box.alive = False

    backend = fake(wear)
    with Judge(backend, workers=1, cache=Cache(0)) as judge:
        assert [judge.judge(RIGHT, twice).ruling for _ in range(2)] == [Ruling.PASS, Ruling.PASS]
    assert len(backend.boxes) == 2


def test_a_backend_below_the_level_is_refused_with_the_reason_and_the_way_out(fake):
    with pytest.raises(SandboxUnavailable, match=r"level 1 of 3 asked for: user names.* `docker` .*--level 1"):
        Judge(fake(level=1))


def test_a_box_below_the_level_that_its_backend_promised_is_refused(fake, twice):
    with Judge(fake(level=3, box_level=2)) as judge, pytest.raises(SandboxUnavailable, match="level 2"):
        judge.judge(RIGHT, twice)


def test_unsafe_is_had_by_its_name_alone_and_with_a_warning(fake, caplog):
    with Judge("unsafe"):
        assert "all the rights of this user" in caplog.text
    backend = fake(level=0)
    backend.name = "unsafe"
    with pytest.raises(SandboxUnavailable, match="level 0"):
        Judge(backend)


def test_a_backend_that_cannot_open_a_box_is_told_by_its_own_reason(fake, twice):
    backend = fake()
    backend.open = lambda: 1 / 0
    with Judge(backend) as judge, pytest.raises(SandboxUnavailable, match="`fake` failed to open: ZeroDivisionError"):
        judge.judge(RIGHT, twice)


def test_a_backend_that_can_open_no_second_box_makes_programs_void(fake, told, twice):
    backend = fake(told(Run(Exit.LOST, detail="pipe broke")))
    first, backend.open = backend.open(), lambda: first if first.alive else 1 / 0
    with Judge(backend, workers=1) as judge:
        judgement = judge.judge("program", twice)
    assert (judgement.ruling, "failed to open" in judgement.reason) == (Ruling.VOID, True)


@pytest.mark.parametrize("program", ["\ud800", "\0", "f = 1\udcff", "", "f = 1\n" * 10_000])
def test_any_text_is_a_program(fake, told, twice, program):
    with Judge(fake(told(Run(Exit.RAISED, detail="SyntaxError"))), workers=1) as judge:
        assert judge.judge(program, twice).reason == "raised: SyntaxError"


def test_an_unknown_backend_is_refused_with_the_list():
    with pytest.raises(SandboxUnavailable, match="local, bwrap, docker, docker-strict, unsafe"):
        Judge("vm")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"inputs": [], "expected": []}, "no tests"),
        ({"expected": [2]}, "2 inputs, 1 expected answers"),
        ({"limits_s": [1.0]}, "2 inputs, 1 limits_s"),
        ({"entry": None}, "entry point"),
        ({"oracle": "psychic"}, "no oracle 'psychic'"),
        ({"expected": [2, object()]}, "expected answer 1 holds a value that is not plain data"),
        ({"oracle": "close", "settings": {"atol": -1}}, "atol"),
    ],
)
def test_a_task_that_cannot_be_judged_is_refused(fake, twice, change, message):
    with Judge(fake()) as judge, pytest.raises(TaskInvalid, match=message):
        judge.judge(RIGHT, replace(twice, **change))


def test_reward_is_none_for_a_task_that_cannot_be_judged(fake, twice):
    with Judge(fake()) as judge:
        assert judge.reward(RIGHT, replace(twice, inputs=[], expected=[])) is None
        assert judge.reward(None, twice) is None


def test_an_oracle_that_fails_on_the_expected_answer_too_is_void(fake):
    # the pyramid's rule cannot be asked of one argument: the task is at fault, whatever the program
    settings = {"dataset": "mbpp", "atol": 0}
    task = CodeTask("odd", Style.FUNCTION, [["a"]], [float("nan")], "surface_Area", "evalplus", settings)
    with Judge(fake(), workers=1) as judge:
        judgement = judge.judge("def surface_Area(x):\n    return 1\n", task)
    assert judgement.ruling is Ruling.VOID
    assert judgement.reason.startswith("oracle_failed: task odd, test 0")


def test_a_function_may_stand_without_its_class_where_the_task_says_so(fake, here):
    entries = []

    def spy(box, job, accept):
        entries.append(job.entry)

    task = CodeTask("p", Style.FUNCTION, [[1]], [2], "Solution.f", settings={"class_optional": True})
    with Judge(fake(spy), workers=1) as judge:
        judge.judge("def f(x): ...", task)
        judge.judge("class Solution:\n    def f(self, x): ...", task)
        judge.judge("def f(x): ...", replace(task, settings={}))
    assert entries == ["f", "Solution.f", "Solution.f"]


def test_a_closed_judge_refuses_and_its_boxes_are_gone(fake, twice):
    backend = fake()
    with Judge(backend, workers=1) as judge:
        judge.judge(RIGHT, twice)
    assert all(box.closed for box in backend.boxes)
    assert judge.judge(WRONG, twice).ruling is Ruling.VOID
