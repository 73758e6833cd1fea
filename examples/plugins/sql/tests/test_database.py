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
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('/lib/x.so')",
        "SELECT randomblob(100)",
        "SELECT random()",
        "SELECT writefile('x', 'y')",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t",
    ],
)
def test_what_is_more_than_reading_two_tables_is_refused(query):
    assert fault_of(query) in ("refused", "invalid_query")


@pytest.mark.parametrize("query", ["ATTACH 'x.db' AS x", "PRAGMA query_only = OFF", "DELETE FROM orders", "VACUUM"])
def test_statements_that_write_are_refused(query):
    assert fault_of(query) in ("refused", "invalid_query")


def test_a_query_without_end_is_stopped():
    started = time.perf_counter()
    joined = ", ".join(f"orders o{number}" for number in range(9))
    assert fault_of(f"SELECT COUNT(*) FROM {joined}") == "too_slow"
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
