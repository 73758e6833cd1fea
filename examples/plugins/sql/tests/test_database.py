import time

import pytest

from rlvr_sql.database import LONGEST_QUERY, QueryFault, run_query, tables


def fault_of(query):
    with pytest.raises(QueryFault) as caught:
        run_query(query, 1)
    return str(caught.value)


def test_a_query_sees_the_rows_of_its_seed():
    customers, orders = tables(7)
    assert run_query("SELECT * FROM customers ORDER BY id", 7) == customers
    assert run_query("SELECT count(*) FROM orders", 7) == [(len(orders),)]


def test_seeds_give_different_rows():
    assert tables(1) == tables(1) != tables(2)


@pytest.mark.parametrize(
    "query",
    [
        "WITH big AS (SELECT * FROM orders WHERE quantity > 3) SELECT product, COUNT(*) FROM big GROUP BY product",
        "SELECT name, RANK() OVER (ORDER BY city) FROM Customers",
        "SELECT UPPER(name) || '!' FROM customers UNION SELECT product FROM orders",
        "SELECT c.name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)",
        "WITH big AS (SELECT DISTINCT product FROM orders) SELECT COUNT(*) FROM big",
        "WITH few(n) AS (VALUES (1), (2)) SELECT 'x' FROM few",
        "SELECT CASE WHEN city IS NULL THEN 'none' ELSE city END, CAST(id AS TEXT) FROM customers",
    ],
)
def test_ordinary_queries_are_run(query):
    assert run_query(query, 1)


@pytest.mark.parametrize(
    "query",
    [
        "WITH x AS (SELECT 1) DELETE FROM orders",
        "WITH x AS (SELECT 1) INSERT INTO customers SELECT 9, 'x', 'y'",
        "SELECT * FROM sqlite_master",
        "SELECT COUNT(*) FROM sqlite_master",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('/lib/x.so')",
        "SELECT randomblob(100)",
        "SELECT random()",
        "SELECT CURRENT_TIMESTAMP",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t",
        "ATTACH 'x.db' AS x",
        "PRAGMA query_only = OFF",
        "PRAGMA hard_heap_limit = 0",
        "DELETE FROM orders",
        "VACUUM",
    ],
)
def test_what_is_more_than_reading_two_tables_is_refused(query):
    assert fault_of(query) == "refused"


@pytest.mark.parametrize("query", ["SELECT writefile('x', 'y')", "SELECT value FROM json_each('[1]')"])
def test_what_is_not_there_is_no_query(query):
    assert fault_of(query) == "invalid_query"


def test_a_name_that_sounds_like_a_fault_is_none():
    assert fault_of("SELECT interrupted") == "invalid_query"


def test_a_query_without_end_is_stopped():
    started = time.perf_counter()
    joined = ", ".join(f"orders o{number}" for number in range(9))
    assert fault_of(f"SELECT COUNT(*) FROM {joined}") == "too_slow"
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("levels", [18, 60])
def test_a_query_that_doubles_when_it_is_compiled_is_stopped(levels):
    parts = ", ".join(f"c{level} AS (SELECT 1 FROM c{level - 1} a, c{level - 1} b)" for level in range(1, levels))
    started = time.perf_counter()
    assert fault_of(f"WITH c0 AS (SELECT 1), {parts} SELECT 1 FROM c{levels - 1}") in (
        "too_large",
        "too_slow",
    )  # by SQLite's version
    assert time.perf_counter() - started < 5


def test_long_steps_are_few():
    long = "replace(substr('" + "a" * 40 + "', 1, 40 + 0 * o1.id), 'a', '" + "a" * 23 + "')"
    crossed = ", ".join(f"orders o{number}" for number in range(1, 5))
    started = time.perf_counter()
    query = f"SELECT COUNT(*) FROM {crossed} WHERE instr({long}, substr({long}, 1, 450) || 'b' || o4.id)"
    assert fault_of(query) == "too_slow"
    assert time.perf_counter() - started < 5


def test_rows_and_lengths_are_bounded():
    assert fault_of("SELECT a.id FROM orders a, orders b") == "too_many_rows"
    assert fault_of("SELECT '" + "x" * LONGEST_QUERY + "'") == "too_long"
    doubled = "name"
    for _ in range(20):
        doubled = f"replace('aa', 'a', {doubled})"
    assert fault_of(f"SELECT {doubled} FROM customers") == "invalid_query"


@pytest.mark.parametrize("query", ["", "SELECT", "SELECT 1; SELECT 2", "SELECT \0", "SELECT '\ud800'", "(" * 3000])
def test_junk_is_a_fault_of_the_query(query):
    assert fault_of(query) in ("invalid_query", "no_rows")
