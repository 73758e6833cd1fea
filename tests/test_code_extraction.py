"""Where the program stands in a completion, and what of it is kept. Nothing here is run."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr_code.extraction import after_thought, defines, fenced_blocks, last_answer, last_program
from rlvr_code.programs import Wanted, read_program, wanted_of
from rlvr_code.sanitising import needed_by, parseable_prefix

PROMPT = (
    'from typing import List\n\n\ndef add(a: int, b: int) -> int:\n    """Sum.\n\n    >>> add(1, 2)\n    3\n    """\n'
)
GOES_ON = Wanted("continuation", PROMPT, "add", "add")
FENCED = Wanted("code", PROMPT, "add", "add")
TAGGED = Wanted("tags", PROMPT, "add", "add")
STDIN = Wanted("code")


def run(program):
    """The names that a program of this file's own makes."""
    names = {}
    exec(program, names)
    return names


def test_the_last_of_two_complete_programs_is_taken():
    assert last_program("```python\nx = 1\n```\nNo, rather:\n```python\nx = 2\n```\n") == "x = 2\n"


def test_a_block_that_was_never_closed_is_no_program():
    assert last_program("```python\nx = 1\n") is None
    assert last_program("```python\nx = 1\n```\nor\n```python\nx = 2\n") == "x = 1\n"


def test_a_block_of_output_or_of_another_language_is_no_program_where_there_is_a_python_one():
    text = "```python\nx = 1\n```\nOutput:\n```\n1\n```\nRun it:\n```bash\npython x.py\n```\n"
    assert last_program(text) == "x = 1\n"


def test_a_block_without_label_counts_where_none_says_python():
    assert last_program("```\nx = 1\n```") == "x = 1\n"


def test_the_block_that_defines_the_entry_point_goes_before_a_later_example():
    text = "```python\ndef add(a, b):\n    return a + b\n```\nUse:\n```python\nprint(add(1, 2))\n```"
    assert last_program(text, "add") == "def add(a, b):\n    return a + b\n"


def test_a_fence_may_be_indented_and_may_follow_words():
    assert last_program("1. So: ```Python\nx = 1\n```") == "x = 1\n"
    assert last_program("  ```py\n  x = 1\n  y = 2\n  ```") == "x = 1\ny = 2\n"


def test_a_closing_fence_before_a_tag_closes():
    assert [block.code for block in fenced_blocks("```python\nx = 1\n```</answer>")] == ["x = 1\n"]


def test_a_stray_closing_fence_of_a_base_model_does_not_swallow_the_next_program():
    assert last_program("    return 1\n```\n\nExplanation\n```python\nx = 2\n```\n") == "x = 2\n"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<think>a</think>b", "b"),
        ("a", "a"),
        ("<think>a", None),
        ("<think>a</think>b</think>c", "c"),
        ("a</think>b", "b"),
    ],
)
def test_only_what_follows_the_thought_counts(text, rest):
    assert after_thought(text) == rest


def test_the_last_complete_answer_is_read():
    assert last_answer("<answer>1</answer> no <answer>2</answer> <answer>3") == "2"


def test_a_class_a_function_and_a_name_are_definitions():
    assert defines("class Solution:\n    pass", "Solution.solve")
    assert defines("async def add(): ...", "add")
    assert defines("add = lambda a, b: a + b", "add")
    assert not defines("print(add(1, 2))\ndef addition(): ...", "add")


def test_a_base_completion_goes_on_from_the_prompt_and_is_cut_behind_the_function():
    program = read_program("    return a + b\n\n\nprint(add(1, 2))\n\nQuestion: write a function", GOES_ON)
    assert run(program)["add"](1, 2) == 3
    assert "print" not in program and "Question" not in program


def test_a_completion_that_repeats_the_whole_function_counts():
    assert run(read_program(PROMPT + "    return a + b\n", GOES_ON))["add"](1, 2) == 3


def test_what_a_base_model_writes_behind_its_answer_does_not_replace_it():
    text = "    return a + b\n\n\ndef add(a, b):\n    return a - b\n"
    assert run(read_program(text, GOES_ON))["add"](5, 2) == 7


def test_of_a_fenced_program_the_last_definition_counts_as_python_has_it():
    text = "```python\ndef add(a, b):\n    return 0\n\n\ndef add(a, b):\n    return a + b\n```"
    assert run(read_program(text, FENCED))["add"](5, 2) == 7


def test_needed_helpers_imports_and_values_are_kept_and_tests_are_not():
    source = (
        "import math\nfrom os import path\nLIMIT = 3\nunused = 5\n\n"
        "def helper(x):\n    return math.floor(x) + LIMIT\n\n"
        "def other():\n    return 1\n\n@staticmethod\ndef add(a, b):\n    return helper(a) + b\n\n"
        "assert add(1, 2) == 0\nif __name__ == '__main__':\n    add = None\n"
    )
    kept = needed_by(source, "add")
    assert "import math" in kept and "from os import path" in kept and "LIMIT = 3" in kept and "def helper" in kept
    assert "@staticmethod\ndef add" in kept
    assert "unused" not in kept and "other" not in kept and "assert" not in kept and "__main__" not in kept


def test_a_table_filled_by_a_loop_is_kept_with_the_loop():
    source = "table = [0] * 3\nfor i in range(3):\n    table[i] = i * i\n\ndef square(i):\n    return table[i]\n"
    assert run(needed_by(source, "square"))["square"](2) == 4


def test_a_helper_without_return_is_kept():
    source = "def fill(x):\n    x.append(1)\n\ndef make():\n    x = []\n    fill(x)\n    return x\n"
    assert run(needed_by(source, "make"))["make"]() == [1]


def test_statements_that_share_a_line_are_told_apart():
    assert needed_by("import os; os._exit(0)\ndef f(): return 1\n", "f") == "import os\ndef f(): return 1\n"


def test_the_prefix_ends_before_an_open_bracket_a_text_that_never_ends_and_prose():
    good = "x = 1\ny = 2"
    for bad in ("z = (1,", 'z = """never ends', "This is prose.", "def f(:", "  z = 3", "\0"):
        assert parseable_prefix(f"{good}\n{bad}\nw = 4\n").strip() == good


def test_a_completion_that_adds_nothing_has_no_program():
    for text in ("", "\n", "    ", "\n# done\n", "Sorry, no.", '    """again"""\n'):
        assert read_program(text, GOES_ON) in (None, read_program('    """again"""\n', GOES_ON))
    assert read_program("", GOES_ON) is None
    assert read_program("Sorry, no.", GOES_ON) is None


def test_a_chatty_completion_of_a_base_prompt_is_read_by_its_fence():
    text = "Here it is:\n```python\ndef add(a, b):\n    return a + b\n```\n"
    assert run(read_program(text, GOES_ON))["add"](1, 2) == 3


def test_a_fenced_body_alone_goes_on_from_the_prompt():
    assert run(read_program("```python\n    return a + b\n```", FENCED))["add"](1, 2) == 3


def test_imports_of_the_prompt_stand_before_a_fenced_program():
    text = "```python\ndef add(a: List[int], b):\n    return a + b\n```"
    assert run(read_program(text, FENCED))["add"](1, 2) == 3


def test_a_program_in_an_unfinished_thought_is_none():
    fenced = "```python\ndef add(a, b):\n    return a + b\n```"
    assert read_program(f"<think>{fenced}", FENCED) is None
    assert read_program(f"<think>{fenced}</think>I give up.", FENCED) is None
    assert read_program(f"<think>hm</think>{fenced}", FENCED) is not None


def test_the_tags_policy_wants_the_tags_and_takes_a_bare_program_between_them():
    bare = "def add(a, b):\n    return a + b"
    assert read_program(f"```python\n{bare}\n```", TAGGED) is None
    assert run(read_program(f"<think>x</think><answer>{bare}</answer>", TAGGED))["add"](1, 2) == 3
    assert run(read_program(f"<answer>\n```python\n{bare}\n```\n</answer>", TAGGED))["add"](1, 2) == 3


def test_a_program_on_standard_input_is_taken_as_it_stands():
    assert read_program("Read:\n```python\nprint(input())\n```", STDIN) == "print(input())\n"
    assert read_program("The answer is 5", STDIN) is None


def test_a_method_of_a_class_is_judged_as_a_whole_program():
    wanted = wanted_of({"entry_point": "Solution.solve", "answer_policy": "code"})
    assert (wanted.entry, wanted.hint) == (None, "Solution.solve")


@given(st.text(max_size=300), st.sampled_from([GOES_ON, FENCED, TAGGED, STDIN]))
def test_no_text_makes_the_reader_raise(text, wanted):
    program = read_program(text, wanted)
    assert program is None or isinstance(program, str)


@pytest.mark.parametrize(
    "text",
    ["(" * 100_000, "[" * 5000 + "]" * 5000, "-" * 100_000 + "1", "x = 1\n" * 3000 + "(", "if x:\n" * 3000, "\\d" * 9],
)
@pytest.mark.parametrize("wanted", [GOES_ON, FENCED])
def test_texts_made_to_be_hard_are_read_in_seconds(text, wanted):
    for whole in (text, f"```python\n{text}\n```"):
        program = read_program(whole, wanted)
        assert program is None or isinstance(program, str)


def test_many_threads_read_alike():
    texts = [f"    return a + {n}\n" for n in range(50)]
    alone = [read_program(text, GOES_ON) for text in texts]
    read_program.cache_clear()
    found = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda to=to: to.extend(read_program(text, GOES_ON) for text in texts)) for to in found
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one == alone for one in found)
