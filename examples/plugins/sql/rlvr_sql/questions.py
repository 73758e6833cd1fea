"""Questions about the shop: each has a right query, and queries that nearly answer it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from rlvr_sql.database import CITIES, PRODUCTS, QueryFault, run_query

ATTEMPTS_A_QUESTION = 100
HIDDEN_DATABASES = 4
"""A query must give the right rows on all of these, which no prompt shows: rows of one alone could be written down."""


@dataclass(frozen=True)
class Question:
    """`ordered`: whether the order of the rows is asked for. `near` holds queries that answer another question."""

    family: str
    text: str
    query: str
    near: tuple[str, ...]
    ordered: bool = False


def same_rows(query: str, other: str, seed: int, ordered: bool) -> bool:
    """Whether two queries give the same rows on the database of that seed; raises QueryFault for either."""
    return _comparable(run_query(query, seed), ordered) == _comparable(run_query(other, seed), ordered)


def _comparable(rows: list[tuple[object, ...]], ordered: bool) -> list[tuple[str, ...]]:
    """Values by what they print as, whole floats as integers (3.0 -> 3), so that SUM and TOTAL agree."""
    plain = [tuple(_text(value) for value in row) for row in rows]
    return plain if ordered else sorted(plain)


def _text(value: object) -> str:
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() else repr(round(value, 6))
    return repr(value)


def make_questions(seed: int, count: int) -> list[tuple[Question, list[int]]]:
    """`count` different questions, each with the seeds of its hidden databases; all families in turn."""
    rng = random.Random(seed)
    made: dict[str, tuple[Question, list[int]]] = {}
    for _ in range(ATTEMPTS_A_QUESTION * count):
        if len(made) == count:
            break
        question = FAMILIES[len(made) % len(FAMILIES)](rng)
        seeds = [rng.randrange(2**31) for _ in range(HIDDEN_DATABASES)]
        if question.text not in made and all(_is_told_apart(question, query, seeds) for query in question.near):
            made[question.text] = (question, seeds)
    assert len(made) == count, "the families have fewer questions than were asked for"
    return list(made.values())


def _is_told_apart(question: Question, query: str, seeds: list[int]) -> bool:
    """Whether some hidden database shows that this query is not the right one."""
    try:
        return not all(same_rows(question.query, query, seed, question.ordered) for seed in seeds)
    except QueryFault:
        return True


def _filter(rng: random.Random) -> Question:
    product, least = rng.choice(PRODUCTS), rng.randint(2, 5)
    right = f"SELECT id FROM orders WHERE product = '{product}' AND quantity >= {least}"
    return Question(
        "filter",
        f"the ids of all orders of product {product} with a quantity of at least {least}",
        right,
        (right.replace(">=", ">"), right.replace(" AND ", " OR ")),
    )


def _top(rng: random.Random) -> Question:
    count, product = rng.randint(2, 5), rng.choice(PRODUCTS)
    right = (
        f"SELECT id, quantity * price FROM orders WHERE product = '{product}' "
        f"ORDER BY quantity * price DESC, id LIMIT {count}"
    )
    return Question(
        "top",
        f"id and amount (quantity times price) of the {count} orders of product {product} of the largest amount, "
        "largest first, equal amounts by ascending id",
        right,
        (right.replace(" DESC", ""), right.replace(f"LIMIT {count}", f"LIMIT {count - 1}")),
        ordered=True,
    )


def _group(rng: random.Random) -> Question:
    least = rng.randint(15, 30)
    right = f"SELECT product, SUM(quantity) FROM orders GROUP BY product HAVING SUM(quantity) > {least}"
    return Question(
        "group",
        f"product and total quantity of every product of which more than {least} pieces were ordered in all",
        right,
        (right.replace("SUM", "COUNT"), right.partition(" HAVING")[0]),
    )


def _join(rng: random.Random) -> Question:
    city, product = rng.choice(CITIES), rng.choice(PRODUCTS)
    right = (
        "SELECT c.name, COUNT(o.id) FROM customers c "
        f"LEFT JOIN orders o ON o.customer_id = c.id AND o.product = '{product}' WHERE c.city = '{city}' GROUP BY c.id"
    )
    return Question(
        "join",
        f"name and number of orders of product {product} of every customer in {city}, 0 for those without",
        right,
        (right.replace("LEFT JOIN", "JOIN"), right.replace("COUNT(o.id)", "COUNT(*)")),
    )


def _without(rng: random.Random) -> Question:
    city, product = rng.choice(CITIES), rng.choice(PRODUCTS)
    right = (
        f"SELECT name FROM customers WHERE city = '{city}' "
        f"AND id NOT IN (SELECT customer_id FROM orders WHERE product = '{product}')"
    )
    other = (
        "SELECT DISTINCT c.name FROM customers c JOIN orders o ON o.customer_id = c.id "
        f"WHERE c.city = '{city}' AND o.product <> '{product}'"
    )
    return Question(
        "without",
        f"the names of all customers in {city} who never ordered the product {product}",
        right,
        (right.replace("NOT IN", "IN"), other),
    )


FAMILIES: tuple[Callable[[random.Random], Question], ...] = (_filter, _top, _group, _join, _without)
