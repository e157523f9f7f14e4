"""The rules that compare a night with the live version and with the ledger: stopped, or passed with a warning."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import pyarrow as pa
import pytest

from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish.clicked import FILE, read_clicked, write_clicked
from tasks.settings import Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction
from tasks.stores.ledger import Load, RuleCount, record_aggregate, record_build, record_load
from tests.nights import make_night, rows_of, with_lenient_gate

NIGHT = date(2017, 6, 30)
DAYS = [NIGHT - timedelta(days=age) for age in reversed(range(60))]
VERDICTS = "select rule, value, reason from gate_history where not passed and level = 'warn' order by rule"


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


def loaded(settings: Settings, days: Iterable[date], rows: int = 1_000, refused: int = 10, outside: int = 50) -> None:
    for day in days:
        rules = [
            RuleCount("no_time", "quarantined", refused),
            RuleCount("product_not_in_catalogue", "accepted", outside),
        ]
        load = Load(day, [], "a hash", rows, rows - refused, 0, [rule for rule in rules if rule.row_count])
        with transaction(settings) as ledger:
            record_load(load, ledger)


def built(night: Night, settings: Settings, days: Sequence[date], aggregated: Sequence[date] = ()) -> None:
    """The ledger of a build over these days; aggregated: days that have aggregates by now."""
    storage = Storage(settings.storage_url)
    with storage.write("an/aggregate") as (_, counts):
        counts |= {"sessions": 1, "products": 1, "pairs": 1}
    hashes = dict.fromkeys(days, "a hash")
    with transaction(settings) as ledger:
        for day in aggregated or days:
            record_aggregate(day, storage.read("an/aggregate"), ledger)
        record_build(night, storage.read(night.artefact("interactions")), hashes, (night.day, "a hash"), ledger)


def published(settings: Settings, day: date = NIGHT, **made: object) -> dict[str, float]:
    return publish_recommendations(make_night(str(day), settings, **made), settings)


def test_a_usual_day_warns_of_nothing_and_a_first_one_says_why(settings):
    loaded(settings, DAYS)
    night = make_night(str(NIGHT), settings)
    built(night, settings, DAYS)
    assert publish_recommendations(night, settings)["warnings"] == 0
    measured = "select rule, round(value::numeric, 3)::float8 from gate_history where version_id = 1 and level = 'warn'"
    assert dict(rows_of(settings, measured)) == {
        "missing_days": 0, "day_rows": 1, "refused": 0.01, "refused_rise": 0, "outside_catalogue": 0.051
    }  # fmt: skip
    published(settings, DAYS[0] - timedelta(days=1))
    why = "select rule, reason from gate_history where version_id = 2 and level = 'warn' and value is null order by 1"
    assert dict(rows_of(settings, why)) == {
        "missing_days": "nothing to compare with: the ledger has no build of these interactions",
        **dict.fromkeys(
            ("day_rows", "outside_catalogue", "refused", "refused_rise"),
            "nothing to compare with: the ledger has no load of 2017-05-01",
        ),
    }


@pytest.mark.parametrize(
    ("own_day", "warned"),
    [
        ({"rows": 400}, {"day_rows": "must be at least 0.5, is 0.4 (400 rows, a Friday has 1,000)"}),
        ({"rows": 3_000}, {"day_rows": "must be at least 0.5, is 0.3333333333 (3,000 rows, a Friday has 1,000)"}),
        ({"refused": 100}, {"refused_rise": "must be at most 0.05, is 0.09 (0.100, usually 0.010)"}),
        ({"outside": 990}, {"outside_catalogue": "must be at most 0.3, is 1"}),
    ],
)
def test_a_day_unlike_those_before_goes_live_with_a_warning(settings, caplog, own_day, warned):
    loaded(settings, DAYS[:-1])
    loaded(settings, DAYS[-1:], **own_day)
    counts = published(settings)
    assert (counts["live"], counts["warnings"]) == (1, 1)
    assert {rule: reason for rule, _, reason in rows_of(settings, VERDICTS)} == warned
    assert all(f"{rule}: {reason}" in caplog.text for rule, reason in warned.items())


def test_a_share_that_is_refused_every_day_is_warned_of_every_night(settings):
    loaded(settings, DAYS, refused=390)
    assert published(settings)["warnings"] == 1
    assert [(rule, value) for rule, value, _ in rows_of(settings, VERDICTS)] == [("refused", 0.39)]


def test_days_that_the_window_lacks_are_named(settings):
    """Not those before the first day that was ever aggregated: a shop begins some day."""
    settings = settings.model_copy(update={"window_days": 20})
    night = make_night(str(NIGHT), settings)
    seen = [day for day in DAYS[-10:] if day not in DAYS[-5:-2]]
    built(night, settings, seen)
    assert publish_recommendations(night, settings)["warnings"] == 1
    sentence = "must be at most 0, is 3 (2017-06-26, 2017-06-27, 2017-06-28)"
    assert rows_of(settings, VERDICTS) == [("missing_days", 3, sentence)]


def test_half_a_catalogue_does_not_go_live(settings, monkeypatch):
    """The share of it that has a list is as good as ever."""
    strict = settings.model_copy(update={"gate_config": None})
    related = {str(product): [str((product + step) % 40) for step in (1, 2)] for product in range(40)}
    titles = {product: f"product {product}" for product in related}
    published(strict, DAYS[-2], related=related, titles=titles)
    half = {str(product): [str((product + step) % 20) for step in (1, 2)] for product in range(20)}
    with pytest.raises(BadInput, match=r"catalogue_size: must be at least 0\.8, is 0\.5 \(20 products, live 40\)"):
        published(strict, related=half, titles={product: f"product {product}" for product in half})


def test_pages_that_are_clicked_and_lose_their_lists_stop_the_night(settings):
    clicked = [pa.table({"product_id": ["1", "2", "gone"], "sessions": [60, 30, 5]}),
               pa.table({"product_id": ["1", "4"], "sessions": [4, 1]})]  # fmt: skip
    published(settings, DAYS[-2])
    assert clicked_published(settings, clicked, {"1": ["2"], "2": ["1"]}) == pytest.approx(94 / 95)
    assert rows_of(settings, "select night from recommendation_version where status = 'live'") == [(NIGHT,)]
    with pytest.raises(BadInput, match=r"clicked_listed: .* is 0\.69.* \(tonight 0\.650, live 0\.940\)"):
        clicked_published(settings, clicked, {"1": ["2"], "4": ["1"]}, NIGHT + timedelta(days=1))


def clicked_published(
    settings: Settings, days: Sequence[pa.Table], related: dict[str, list[str]], day: date = NIGHT
) -> float:
    """Publish a night whose interactions hold what was clicked; what the gate measured of it."""
    night = make_night(str(day), settings, related, clicked=lambda folder: write_clicked(days, folder))
    publish_recommendations(night, settings)
    query = "select value from gate_history where rule = 'clicked_listed' order by version_id desc limit 1"
    return float(rows_of(settings, query)[0][0])


def test_what_was_clicked_is_added_up_over_the_days(tmp_path):
    days = [pa.table({"product_id": ["a", "b"], "sessions": [1, 2], "more": [0, 0]}),
            pa.table({"product_id": ["b", "c"], "sessions": [3, 4], "more": [0, 0]})]  # fmt: skip
    write_clicked(days, tmp_path)
    rows = read_clicked(tmp_path).sort_by("product_id").to_pydict()
    assert rows == {"product_id": ["a", "b", "c"], "sessions": [1, 5, 4]}
    (tmp_path / FILE).unlink()
    assert read_clicked(tmp_path) is None
