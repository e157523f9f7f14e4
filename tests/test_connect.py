"""What docs/connect.md gives to analysts' tools, as an analyst of a published database: dashboard, notebook, dbt."""

import json
import re
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from tasks.publish.channels import point_channel
from tasks.settings import ROOT, Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tests.installations import engine_of
from tests.nights import OTHER, make_night, with_lenient_gate
from tests.tasks.publish.test_explanations import publish_with_reasons
from tests.tasks.publish.test_list_clicks import made_day

DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "recommendations.json").read_text())
SOURCES = yaml.safe_load((ROOT / "deploy" / "dbt" / "sources.yml").read_text())
NOTEBOOK = ROOT / "docs" / "notebooks" / "lists.ipynb"
MACROS = {  # as Grafana fills them in
    r"\$__timeFilter\((.+)\)(?=\n|$)": r"\1 between '2017-01-01T00:00:00Z' and '2100-01-01T00:00:00Z'",
    r"\$__timeFrom\(\)": "'2017-01-01T00:00:00Z'",
    r"\$__timeTo\(\)": "'2100-01-01T00:00:00Z'",
}
OF_NIGHTS = {
    "What readers saw, over 7 days",
    "Held-out lift@10",
    "Rows of the log",
    "Rules that failed",
}  # not made here

COMMENTS = """select col_description(attrelid, attnum), attname::text from pg_attribute
where attrelid = cast(:name as regclass) and attnum > 0 and not attisdropped
union all select obj_description(cast(:name as regclass), 'pg_class'), null"""


@pytest.fixture
def reader_url(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """An analyst's, of a shop with two nights, a channel and clicks on lists."""
    settings = with_lenient_gate(settings, monkeypatch)
    publish_with_reasons(settings, "2017-06-28")
    publish_recommendations(make_night("2017-06-29", settings, OTHER), settings)
    point_channel(settings, "b", "last night's lists", version_id=1, share=0.5)
    made_day(settings, date(2017, 6, 30), 1, sessions=50)
    url = sa.make_url(settings.database_url)
    options = f"{url.query['options']} -crole=analyst -cdefault_transaction_read_only=on"
    return url.update_query_dict({"options": options}).render_as_string(hide_password=False)


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    panels = DASHBOARD["panels"]
    assert DASHBOARD["schemaVersion"] >= 36
    assert len({panel["id"] for panel in panels}) == len(panels) >= 10
    (variable,) = DASHBOARD["templating"]["list"]
    for panel in panels:
        assert {"type", "title", "description", "gridPos", "targets"} <= panel.keys()
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel["targets"]:
            assert target["datasource"] == {"type": variable["query"], "uid": "${datasource}"}
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)


def test_every_tool_is_answered(reader_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine_of(reader_url).connect() as analyst:
        for panel in DASHBOARD["panels"]:
            (target,) = panel["targets"]
            answer = analyst.exec_driver_sql(filled_in(target["rawSql"]), execution_options={"no_parameters": True})
            columns = list(answer.keys())
            assert (target["format"] == "time_series") == ("time" in columns)
            assert bool(answer.all()) != (panel["title"] in OF_NIGHTS), panel["title"]
        for source in SOURCES["sources"]:
            for table in source["tables"]:
                declared = [(table["description"], None)]
                declared += [(column["description"], column["name"]) for column in table["columns"]]
                comments = analyst.execute(sa.text(COMMENTS), {"name": table["name"]}).all()
                assert sorted(declared, key=str) == sorted(map(tuple, comments), key=str), table["name"]
        for query in re.findall(r"```sql\n(select.+?)```", (ROOT / "docs" / "serving.md").read_text(), re.DOTALL):
            analyst.execute(sa.text(query))
    monkeypatch.setenv("READER_URL", reader_url)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = run_cells(NOTEBOOK)
    assert len(names["listed"]) == 3
    assert {"co-click", "eclare", "co-click by rules", "eclare by rules"} == set(names["by_night"].columns)
    assert set(names["rates"]["channel"]) == {"default", "b"}


def filled_in(query: str) -> str:
    for macro, text in MACROS.items():
        query = re.sub(macro, text, query)
    assert "$__" not in query, query
    return query


def run_cells(notebook: Path) -> dict[str, object]:
    """The names that the code cells leave, run in turn; without a kernel, which the project does not install."""
    names: dict[str, object] = {}
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "kept without outputs"
            exec("".join(cell["source"]), names)  # noqa: S102
    return names
