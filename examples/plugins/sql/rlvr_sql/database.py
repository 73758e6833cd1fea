"""Small databases of one shop, made from a seed, and the only way in which a query of a model is run."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

SCHEMA = """\
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, product TEXT, quantity INTEGER, price INTEGER);
"""
CITIES = ("Lima", "Oslo", "Pune")
PRODUCTS = ("lamp", "desk", "chair", "shelf")
NAMES = ("Ada", "Ben", "Cho", "Dia", "Eli", "Fay", "Gus", "Hal")
MOST_ROWS = 200
"""A right answer has fewer: the databases hold eight customers and some thirty orders."""
STEPS_A_CHECK, MOST_CHECKS = 1_000, 200
"""SQLite counts its virtual machine's steps; 200,000 are a hundred times what a right query takes."""
LONGEST_QUERY, LONGEST_VALUE = 4_000, 1_000
"""One step may compare each character of a value with each of another: longer values would make steps long."""
MOST_MEMORY = 64 << 20
"""Bytes that SQLite may hold in this process: WITH clauses that name each other twice double what is compiled."""

Row = tuple[object, ...]


class QueryFault(Exception):
    """Why a query is no answer, as one lower_case word."""


def tables(seed: int) -> tuple[list[Row], list[Row]]:
    """Rows of customers and of orders. Some customers have no orders, some values are equal, some are missing."""
    rng = random.Random(seed)
    customers: list[Row] = [
        (number, name, rng.choice((*CITIES, None)) if number > 3 else CITIES[number - 1])
        for number, name in enumerate(rng.sample(NAMES, len(NAMES)), start=1)
    ]
    buyers = rng.sample(range(1, len(NAMES) + 1), 6)
    orders: list[Row] = [
        (number, rng.choice(buyers), rng.choice(PRODUCTS), rng.randint(1, 6), 5 * rng.randint(1, 12))
        for number in range(1, rng.randint(26, 34))
    ]
    return customers, orders


def run_query(query: str, seed: int) -> list[Row]:
    """The rows that one query gives on the database of that seed. Raises QueryFault, and nothing else.

    The query may read the two tables and call harmless functions, and no more: it is compiled under an authorizer that
    refuses all else (writing, PRAGMA, ATTACH, recursion), and run under limits of steps, rows and sizes.
    """
    if len(query) > LONGEST_QUERY:
        raise QueryFault("too_long")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        _fill(database, seed)
        _confine(database)
        try:
            cursor = database.execute(query)
            rows = cursor.fetchmany(MOST_ROWS + 1)
        except MemoryError as error:
            raise QueryFault("too_large") from error
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            raise QueryFault(_word_of(error)) from error
    if cursor.description is None:
        raise QueryFault("no_rows")
    if len(rows) > MOST_ROWS:
        raise QueryFault("too_many_rows")
    return rows


def _word_of(error: Exception) -> str:
    """What the query is at fault for; refused functions and table-valued pragmas have no error code of their own."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_INTERRUPT":
        return "too_slow"
    refused = name == "SQLITE_AUTH" or str(error).startswith("not authorized")
    return "refused" if refused else "invalid_query"


def _fill(database: sqlite3.Connection, seed: int) -> None:
    customers, orders = tables(seed)
    database.executescript(SCHEMA)
    database.executemany("INSERT INTO customers VALUES (?, ?, ?)", customers)
    database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", orders)


def _confine(database: sqlite3.Connection) -> None:
    checks = 0

    def over() -> bool:
        nonlocal checks
        checks += 1
        return checks > MOST_CHECKS

    database.execute("PRAGMA query_only = ON")
    database.execute("PRAGMA temp_store = MEMORY")
    database.execute(f"PRAGMA hard_heap_limit = {MOST_MEMORY}")
    for limit, most in (
        (sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE),
        (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 4 * LONGEST_QUERY),
        (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100),
        (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 20),
        (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    ):
        database.setlimit(limit, most)
    database.set_progress_handler(over, STEPS_A_CHECK)
    database.set_authorizer(_allowed)


def _allowed(action: int, first: str | None, second: str | None, *_: object) -> int:
    """SELECT, reading the two tables, and functions that load nothing and say nothing of the machine."""
    if action == sqlite3.SQLITE_SELECT:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ:
        # No column: only rows are counted, and `first` may be the query's own name for a part of itself (WITH).
        counted = not second and not str(first).startswith("sqlite_")
        return sqlite3.SQLITE_OK if counted or first in ("customers", "orders") else sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_OK if str(second).lower() in _FUNCTIONS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_DENY


_FUNCTIONS = frozenset(
    [
        "count",
        "sum",
        "total",
        "avg",
        "min",
        "max",
        "group_concat",
        "abs",
        "round",
        "coalesce",
        "ifnull",
        "nullif",
        "iif",
        "length",
        "lower",
        "upper",
        "substr",
        "substring",
        "trim",
        "ltrim",
        "rtrim",
        "replace",
        "instr",
        "like",
        "glob",
        "row_number",
        "rank",
        "dense_rank",
        "first_value",
        "last_value",
        "lag",
        "lead",
        "ntile",
        "typeof",
    ]
)
"""Deterministic and bounded: random(), load_extension(), zeroblob(), randomblob() and printf() are not among them."""
