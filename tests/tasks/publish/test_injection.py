"""SQL in ids, titles, names, reasons and nights stays text, and no statement is put together from text."""

import ast
import re
from pathlib import Path

import pytest

from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish.rollback import approve, rollback
from tasks.settings import ROOT
from tasks.steps.publish_recommendations import publish_recommendations
from tests.nights import make_night, roll_back, rows_of, tables_expected, tables_of_versions, with_lenient_gate
from tests.tasks.publish.test_explanations import publish_with_reasons
from tests.tasks.test_analysts import strict

HOSTILE = [
    "'; drop table recommendation; --", "1' or '1'='1", '"; drop table metric; --', "') returning version_id; --",
    "1; select pg_sleep(10)", "' union select usename from pg_user --", "$$; drop schema public; $$", "\\'; commit; --",
    "%s %(id)s :id {version_id}", "/* */ -- \\.", "\\copy x from program 'id'", "E'\\x27'", "null", "ключ'; ––",
]  # fmt: skip
TABLES = "select relname, relkind from pg_class where relnamespace = current_schema()::regnamespace order by 1"
SQL_WORDS = re.compile(r"\b(select|insert|update|delete|create|drop|alter|copy|truncate|grant|call)\b\s+\S", re.I)


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


@pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)
def test_sql_in_products_stays_text(settings):
    ids = [*HOSTILE, "plain"]
    related = {product: [ids[(row + after) % len(ids)] for after in (1, 2)] for row, product in enumerate(ids)}
    titles = {product: f"{product} {number}" for number, product in enumerate(ids)}
    columns = {"category": ids[::-1], "brand": ids}
    publish_recommendations(make_night("2017-06-29", settings, related, titles, **columns), settings)
    before = rows_of(settings, TABLES)
    for product in ids:
        found = rows_of(settings, "select related_product_id from related_products(:id, 5)", id=product)
        assert [row for (row,) in found] == related[product]
        for one, question in {
            "title": "select title from recommended_product where product_id = :id",
            "category": "select category from recommended_product where product_id = :id",
        }.items():
            ((value,),) = rows_of(settings, question, id=product)
            assert value == (titles[product] if one == "title" else columns["category"][ids.index(product)])
        for other in related[product]:
            assert len(rows_of(settings, "select * from explain_recommendation(:a, :b)", a=product, b=other)) == 1
        rows_of(settings, "select * from search_products(:words)", words=product)
        rows_of(settings, "select * from pair_history where product_id = :a and related_product_id = :a", a=product)
    assert rows_of(settings, TABLES) == before


@pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)
def test_sql_in_names_and_reasons_stays_text(settings):
    publish_with_reasons(settings, "2017-06-28")
    with pytest.raises(BadInput, match="churn"):
        publish_recommendations(make_night("2017-06-29", settings, {"1": ["4"]}), strict(settings))
    audited = []
    for text in HOSTILE:
        if len(audited) % 2:
            roll_back(settings, text, text)
        else:
            approve(settings, 2, text, text)
        audited.append((text, text))
    assert rows_of(settings, "select actor, reason from live_history where action <> 'publish' order by change_id") == (
        audited
    )
    assert tables_of_versions(settings) == tables_expected(settings)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("server", ["given"], indirect=True)
def test_a_night_is_a_date_or_refused(settings, text):
    with pytest.raises(BadInput, match="night"):
        Night.of(text, settings)
    with pytest.raises(BadInput, match="night"):
        rollback(settings, 1, "why", to=text)


def sources() -> list[Path]:
    return sorted(file for folder in ("tasks", "local", "dags") for file in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("file", sources(), ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_no_statement_is_put_together_from_text(file):
    for node in ast.walk(ast.parse(file.read_text())):
        built = isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod)
        )
        if built and SQL_WORDS.match("".join(text_in(node)).strip()):
            quoted = "map(quote, rows.schema.names)" in ast.unparse(node)
            assert quoted, f"{file}:{node.lineno} puts SQL together: bind parameters, or name a file of sql/queries"
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "statement":
            filled = {keyword.arg for keyword in node.keywords}
            assert filled <= {"version_id", "parent", "partition"}, f"{file}:{node.lineno}"


def text_in(node: ast.AST) -> list[str]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
