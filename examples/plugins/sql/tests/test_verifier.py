import pickle

import pytest
from rlvr_harness import FinishReason, Outcome, PromptRequest, Sample

from rlvr_sql.questions import FAMILIES, HIDDEN_DATABASES, same_rows
from rlvr_sql.task import SHOWN_SEED, SIZE, SqlTask
from rlvr_sql.verifier import SqlVerifier, read_query

LOADED = SqlTask().load(PromptRequest())


def judge(problem, text, finish=FinishReason.STOP):
    return SqlVerifier().verify(problem, Sample(problem.task, "model", problem.problem_id, 0, 0, text, finish, 9))


def of_family(family):
    return next(problem for problem in LOADED.problems if problem.problem_id.endswith(family))


def test_all_families_are_asked_equally_often_and_no_question_twice():
    families = [problem.problem_id.partition("-")[2] for problem in LOADED.problems]
    assert {families.count(family) for family in families} == {SIZE // len(FAMILIES)}
    assert len({problem.prompt for problem in LOADED.problems}) == SIZE


def test_the_task_is_the_same_each_time():
    assert SqlTask().load(PromptRequest()).data_hash == LOADED.data_hash


def test_prompts_hide_the_rows_that_are_judged_on():
    for problem in LOADED.problems:
        assert len(problem.metadata["seeds"]) == HIDDEN_DATABASES
        assert SHOWN_SEED not in problem.metadata["seeds"]
        assert problem.reference not in problem.prompt


def test_every_gold_is_accepted_and_every_near_miss_refused():
    verifier = SqlVerifier()
    for problem in LOADED.problems:
        assert {judge(problem, text).outcome for text in verifier.gold_texts(problem)} == {Outcome.RIGHT}
        assert {judge(problem, text).outcome for text in verifier.near_misses(problem)} == {Outcome.WRONG}


def test_another_query_with_the_same_rows_is_right():
    problem = of_family("without")
    exists = "NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = customers.id AND"
    inner = problem.reference.replace("id NOT IN (SELECT customer_id FROM orders WHERE", exists)
    assert inner != problem.reference
    assert judge(problem, inner).outcome is Outcome.RIGHT


def test_order_counts_only_where_it_is_asked_for():
    top, join = of_family("top"), of_family("join")
    assert judge(top, f"SELECT * FROM ({top.reference}) ORDER BY 1 DESC").reason == "other_rows"
    assert judge(join, f"{join.reference} ORDER BY 1 DESC").outcome is Outcome.RIGHT


def test_whole_floats_equal_integers():
    assert same_rows("SELECT TOTAL(quantity) FROM orders", "SELECT SUM(quantity) FROM orders", 3, ordered=False)


def test_rows_written_down_are_wrong_on_another_database():
    assert judge(of_family("filter"), "SELECT 1 UNION SELECT 2").reason == "other_rows"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("SELECT 1;\n-- next question", "SELECT 1"),
        ("select ';' ; select 2", "select ';'"),
        ("Let me think.\n```sql\nSELECT 1;\n```\nDone.", "SELECT 1"),
        ("```sql\nSELECT 1", "SELECT 1"),
        ("-- counts\nWITH t AS (SELECT 1) SELECT * FROM t", "-- counts\nWITH t AS (SELECT 1) SELECT * FROM t"),
        ("The answer is SELECT 1", None),
        ("", None),
        ("SELECT '\ud800'; SELECT 2", "SELECT '\ud800'"),
        ("SELECT '\0;'; SELECT 2", "SELECT '\0;'"),
    ],
)
def test_the_first_statement_of_the_last_block_is_read(text, query):
    assert read_query(text) == query


def test_a_first_statement_ends_before_any_length_of_text():
    assert read_query("SELECT 1;" + "x" * 100_000) == "SELECT 1"
    assert judge(of_family("top"), "SELECT '" + ";" * 100_000).reason == "too_long"


def test_a_cut_text_without_query_is_truncated():
    assert judge(of_family("top"), "Let me", FinishReason.LENGTH).reason == "truncated"


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "SELECT \0;",
        "SELECT '\ud800'",
        "SELECT '\ud800';",
        "```" * 5000,
        "SELECT " + "(" * 9000,
        "SELECT 💥",
        ";" * 30_000,
    ],
)
def test_junk_survives(text):
    assert judge(of_family("top"), text).outcome is Outcome.WRONG


def test_the_verifier_goes_to_worker_processes():
    verifier = pickle.loads(pickle.dumps(SqlVerifier()))
    assert verifier.limits.wall_s > 0
