"""Each preset reads a small file as its owner writes one: names, nesting, units of time, types."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.doctor.peek import peek
from tasks.doctor.proposal import preset_of
from tasks.doctor.trial import try_export
from tasks.ingest.catalogue import delivery_of, read_catalogue
from tasks.ingest.catalogue_format import CatalogueFormat
from tasks.ingest.catalogue_of_log import catalogue_of_log
from tasks.ingest.log_format import LogFormat
from tasks.ingest.presets import presets, with_preset
from tasks.settings import Settings

FIRST, SECOND = datetime(2017, 6, 30, 10, 0, 0), datetime(2017, 6, 30, 10, 5, 0)
SECONDS = 1498816800  # FIRST


def lines(*records: Mapping[str, Any]) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


def table(header: Sequence[str], *rows: Sequence[object], delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([header, *rows] if header else rows)
    return text.getvalue()


def ga4_event(name: str, seconds: int, *items: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "event_date": "20170630",
        "event_timestamp": str((SECONDS + seconds) * 1_000_000),  # BigQuery writes 64 bits as text
        "event_name": name,
        "event_params": [
            {"key": "ga_session_id", "value": {"string_value": None, "int_value": str(SECONDS), "float_value": None}},
            {"key": "page_location", "value": {"string_value": "https://shop.example/", "int_value": None}},
        ],
        "user_id": None,
        "user_pseudo_id": "1234.5678",
        "items": list(items),
    }


MUG = {"item_id": "SKU_1", "item_name": "Enamel mug", "item_brand": "Acme", "item_category": "Mugs", "price": 9.5}
BOWL = {"item_id": "SKU_2", "item_name": "Soup bowl", "item_brand": "Acme", "item_category": "Bowls", "price": 7.0}
GA4 = [ga4_event("page_view", 0), ga4_event("view_item", 0, MUG), ga4_event("purchase", 300, MUG, BOWL)]


def segment(event: str, at: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "track", "event": event, "messageId": f"ajs-{event}-{at}", "anonymousId": "anon-1", "userId": None,
        "timestamp": at, "originalTimestamp": at, "sentAt": at, "receivedAt": at, "channel": "client",
        "context": {"library": {"name": "analytics.js"}}, "integrations": {}, "properties": properties,
    }  # fmt: skip


SEGMENT_MUG = {
    "product_id": "p1",
    "sku": "M-1",
    "name": "Enamel mug",
    "price": 9.5,
    "category": "Mugs",
    "brand": "Acme",
}
SEGMENT_BOWL = {"product_id": "p2", "sku": "B-2", "name": "Soup bowl", "price": 7, "category": "Bowls", "brand": "Acme"}
SNOWPLOW = "com_snowplowanalytics_snowplow_ecommerce"


def snowplow(action: str, at: str, *products: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "app_id": "shop", "platform": "web", "collector_tstamp": at, "derived_tstamp": at, "event": "unstruct",
        "event_id": f"id-{at}", "event_name": "snowplow_ecommerce_action", "domain_userid": "du-1", "user_id": None,
        "domain_sessionid": "ds-1", f"unstruct_event_{SNOWPLOW}_snowplow_ecommerce_action_1": {"type": action},
        f"contexts_{SNOWPLOW}_product_1": list(products),
    }  # fmt: skip


def snowplow_line(**values: str) -> list[str]:
    return [values.get(name, "") for name in presets()["snowplow_tsv"]["log"]["header"]]


ORDER = {
    "event_id": "e1",
    "derived_tstamp": "2017-06-30 10:00:00.000",
    "domain_sessionid": "ds-1",
    "domain_userid": "du-1",
}
PRODUCT = {"id": "p1", "name": "Enamel mug", "price": 9.5, "category": "Mugs", "brand": "Acme", "currency": "EUR"}
OTHER = {"id": "p2", "name": "Soup bowl", "price": 7, "category": "Bowls", "brand": "Acme", "currency": "EUR"}

# By preset: a file's name and content, and of each click its time, product and type.
LOGS: dict[str, tuple[str, str, list[tuple[datetime, str, str | None]]]] = {
    "ga4": (
        "events_20170630.json", lines(*GA4),
        [(FIRST, "SKU_1", "view"), (SECOND, "SKU_1", "purchase"), (SECOND, "SKU_2", "purchase")],
    ),
    "shopify": (
        "orders_export_1.csv",
        table(
            ["Name", "Email", "Financial Status", "Paid at", "Created at", "Lineitem quantity", "Lineitem name",
             "Lineitem price", "Lineitem sku", "Notes"],
            ["#1001", "a@b.example", "paid", "2017-06-30 12:00:10 +0200", "2017-06-30 12:00:00 +0200", 1,
             "Enamel mug - Blue", 9.5, "M-1", "leave it\nat the door"],
            ["#1001", "a@b.example", "", "", "2017-06-30 12:00:00 +0200", 2, "Soup bowl", 7, "B-2", ""],
            ["#1001", "", "", "", "", 1, "Milk jug", 7, "J-3", ""],
        ),
        [(FIRST, "B-2", None), (FIRST, "J-3", None), (FIRST, "M-1", None)],
    ),
    "segment": (
        "segment.jsonl",
        lines(
            segment("Product Viewed", "2017-06-30T10:00:00.000Z", SEGMENT_MUG),
            segment("Product List Viewed", "2017-06-30T10:01:00.000Z", {"products": [SEGMENT_MUG, SEGMENT_BOWL]}),
            segment("Order Completed", "2017-06-30T10:05:00.000Z", {"products": [SEGMENT_MUG, SEGMENT_BOWL]}),
        ),
        [(FIRST, "p1", "view"), (SECOND, "p1", "purchase"), (SECOND, "p2", "purchase")],
    ),
    "snowplow": (
        "enriched.jsonl",
        lines(
            snowplow("product_view", "2017-06-30T10:00:00.000Z", PRODUCT),
            snowplow("list_view", "2017-06-30T10:01:00.000Z", PRODUCT, OTHER),
            snowplow("transaction", "2017-06-30T10:05:00.000Z", PRODUCT, OTHER),
        ),
        [(FIRST, "p1", "view"), (SECOND, "p1", "purchase"), (SECOND, "p2", "purchase")],
    ),
    "snowplow_tsv": (
        "part-00000.tsv",
        "".join(
            "\t".join(line) + "\n"
            for line in (
                snowplow_line(**ORDER, event="page_view"),
                snowplow_line(**{**ORDER, "event_id": "e2"}, event="transaction_item", ti_sku="p1", ti_name="Mug",
                              contexts='{"schema":"iglu:com.acme/contexts/jsonschema/1-0-0","data":[]}'),
                snowplow_line(**{**ORDER, "event_id": "e3"}, event="transaction_item", ti_sku="p2", ti_name="Bowl"),
            )
        ),
        [(FIRST, "p1", "purchase"), (FIRST, "p2", "purchase")],
    ),
    "personalize": (
        "interactions.csv",
        table(
            ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE", "DISCOUNT"],
            ["u1", "p1", SECONDS, "View", "No"],
            ["u1", "p2", SECONDS + 300, "Purchase", "No"],
            ["u1", "p2", SECONDS + 300, "ViewCart", "No"],
        ),
        [(FIRST, "p1", "view"), (SECOND, "p2", "purchase")],
    ),
    "gorse": (
        "feedback.csv",
        table(
            ["feedback_type", "user_id", "item_id", "time_stamp"],
            ["read", "u1", "p1", "2017-06-30 10:00:00 +0000 UTC"],
            ["star", "u1", "p2", "2017-06-30 10:05:00 +0000 UTC"],
        ),
        [(FIRST, "p1", "view"), (SECOND, "p2", "view")],
    ),
    "google_retail": (
        "user_events.json",
        lines(
            {"eventType": "home-page-view", "visitorId": "v1", "sessionId": "s1", "eventTime": "2017-06-30T10:00:00Z"},
            {"eventType": "detail-page-view", "visitorId": "v1", "sessionId": "s1", "eventTime": "2017-06-30T10:00:00Z",
             "productDetails": [{"product": {"id": "p1"}}]},
            {"eventType": "purchase-complete", "visitorId": "v1", "sessionId": "s1",
             "eventTime": "2017-06-30T10:05:00Z", "productDetails": [{"product": {"id": "p1"}, "quantity": 2},
             {"product": {"id": "p2"}, "quantity": 1}],
             "purchaseTransaction": {"revenue": 26, "currencyCode": "EUR"}},
        ),
        [(FIRST, "p1", "view"), (SECOND, "p1", "purchase"), (SECOND, "p2", "purchase")],
    ),
    "retailrocket": (
        "events.csv",
        table(
            ["timestamp", "visitorid", "event", "itemid", "transactionid"],
            [SECONDS * 1000, 257597, "view", 355908, ""], [(SECONDS + 300) * 1000, 257597, "transaction", 355909, 4000],
        ),
        [(FIRST, "355908", "view"), (SECOND, "355909", "purchase")],
    ),
    "yoochoose": (
        "yoochoose-clicks.dat",
        table((), [1, "2017-06-30T10:00:00.000Z", 214536502, 0], [1, "2017-06-30T10:05:00.000Z", 214536500, "S"]),
        [(FIRST, "214536502", None), (SECOND, "214536500", None)],
    ),
    "yoochoose_buys": (
        "yoochoose-buys.dat",
        table((), [42, "2017-06-30T10:00:00.000Z", 214537888, 8, 1], [42, "2017-06-30T10:05:00.000Z", 214537850, 9, 1]),
        [(FIRST, "214537888", None), (SECOND, "214537850", None)],
    ),
    "otto": (
        "train_sessions.jsonl",
        lines(
            {"session": 0, "events": [
                {"aid": 1517085, "ts": SECONDS * 1000, "type": "clicks"},
                {"aid": 1563459, "ts": (SECONDS + 300) * 1000, "type": "orders"},
            ]}
        ),
        [(FIRST, "1517085", "view"), (SECOND, "1563459", "purchase")],
    ),
}  # fmt: skip


def clicks_in(file: Path, preset: str, scratch: Path) -> list[tuple[datetime, str, str | None]]:
    trial = try_export([file], LogFormat.model_validate({"preset": preset}), Settings(), scratch)
    clicks = pa.concat_tables(pq.read_table(part) for part in trial.clicks)
    assert None not in clicks["session_id"].to_pylist()
    assert "unknown_event_type" not in trial.by_rule
    times = [time.replace(tzinfo=None) for time in clicks["event_time"].to_pylist()]
    rows = zip(times, *(clicks[name].to_pylist() for name in ("product_id", "event_type")), strict=True)
    return sorted(rows, key=str)


@pytest.mark.parametrize("preset", list(presets()))
def test_a_preset_reads_what_its_owner_writes_and_is_recognised(preset: str, tmp_path: Path) -> None:
    name, content, clicks = LOGS[preset]
    file = tmp_path / name
    file.write_bytes(content.encode())
    assert preset_of(peek(file), "log") == preset
    assert clicks_in(file, preset, tmp_path / "scratch") == clicks


def test_ga4_as_parquet(tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    events = [event | {"event_timestamp": int(event["event_timestamp"])} for event in GA4]
    for event in events:
        event["event_params"] = [
            {"key": each["key"], "value": each["value"] | {"int_value": None}} for each in event["event_params"]
        ]
    pq.write_table(pa.Table.from_pylist(events), file)
    assert preset_of(peek(file), "log") == "ga4"
    assert clicks_in(file, "ga4", tmp_path / "scratch") == LOGS["ga4"][2]


CATALOGUES: dict[str, tuple[str, str]] = {
    "shopify": (
        "products_export.csv",
        table(
            ["Handle", "Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Option1 Name", "Option1 Value",
             "Variant SKU", "Variant Price", "Image Src", "Variant Image", "Status"],
            ["enamel-mug", "Enamel mug", "<p>A mug,\n\"hand made\"</p>", "Acme", "Mugs", "", "Colour", "Blue", "M-1",
             "9.50", "https://cdn.example/1.jpg", "", "active"],
            ["enamel-mug", "", "", "", "", "", "", "Red", "M-2", "9.50", "", "https://cdn.example/2.jpg", ""],
            ["enamel-mug", "", "", "", "", "", "", "", "", "", "https://cdn.example/3.jpg", "", ""],
        ),
    ),
    "personalize": (
        "items.csv",
        table(["ITEM_ID", "TITLE", "PRICE", "CATEGORY_L1", "CATEGORY_L2"], ["M-1", "Enamel mug", 9, "Kitchen", "Mugs"]),
    ),
    "gorse": (
        "items.csv",
        table(
            ["item_id", "is_hidden", "categories", "time_stamp", "labels", "description"],
            ["M-1", "false", "Mugs", "2017-06-30 10:00:00 +0000 UTC", '{"colour":["blue"]}', "Enamel mug"],
        ),
    ),
    "google_retail": (
        "products.json",
        lines(
            {"id": "M-1", "title": "Enamel mug", "categories": ["Mugs"], "brands": ["Acme"],
             "priceInfo": {"currencyCode": "EUR", "price": 9.5}, "images": [{"uri": "https://cdn.example/1.jpg"}],
             "availability": "IN_STOCK"}
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("preset", list(CATALOGUES))
def test_a_preset_reads_a_catalogue_and_is_recognised(preset: str, tmp_path: Path) -> None:
    name, content = CATALOGUES[preset]
    file = tmp_path / name
    file.write_bytes(content.encode())
    assert preset_of(peek(file), "catalogue") == preset
    products = catalogue_in(file, preset)
    assert products["M-1"]["title"] == "Enamel mug"
    assert products["M-1"]["category"] == "Mugs"
    if preset == "shopify":
        assert products.keys() == {"M-1", "M-2"}
        assert products["M-2"] == products["M-1"] | {"product_id": "M-2", "image_url": "https://cdn.example/2.jpg"}


def catalogue_in(file: Path, preset: str) -> dict[str, dict[str, Any]]:
    written = file.with_name("catalogue_format.json")
    written.write_text(json.dumps({"preset": preset}))
    settings = Settings().model_copy(update={"catalogue_format": written, "catalogue_url": str(file)})
    read = read_catalogue(delivery_of(FIRST.date(), settings), settings)
    return {row["product_id"]: row for row in read.products.to_pylist()}


TITLES = ("Enamel mug", "Soup bowl")
TITLES_OF = {"ga4": ("SKU_1", "SKU_2"), "segment": ("p1", "p2"), "snowplow": ("p1", "p2")}


@pytest.mark.parametrize("preset", list(TITLES_OF))
def test_events_that_say_what_products_are_called_are_a_catalogue(preset: str, tmp_path: Path) -> None:
    name, content, clicks = LOGS[preset]
    file = tmp_path / name
    file.write_bytes(content.encode())
    products = catalogue_of_log([file], CatalogueFormat.model_validate({"preset": preset}), Settings()).to_pylist()
    assert {row["product_id"]: row["title"] for row in products} == dict(zip(TITLES_OF[preset], TITLES, strict=True))
    assert {row["product_id"] for row in products} == {product for _, product, _ in clicks}
    assert products[0]["brand"] == "Acme"


def test_what_stands_beside_a_preset_goes_first() -> None:
    given = {
        "preset": "ga4",
        "columns": {"user_id": "user_id"},
        "event_types": {"select_item": "view"},
        "time_unit": "ms",
    }
    merged = LogFormat.model_validate(given)
    assert merged.columns == presets()["ga4"]["log"]["columns"] | {"user_id": "user_id"}
    assert merged.event_types == presets()["ga4"]["log"]["event_types"] | {"select_item": "view"}
    assert merged.time_unit == "ms"
    assert merged.items == "items"


def test_a_preset_that_is_none_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(ValueError, match=r"preset must be among ga4, .*otto for a log, got 'ga3'"):
        with_preset({"preset": "ga3"}, "log")
    with pytest.raises(ValueError, match="for a catalogue, got 'otto'"):
        with_preset({"preset": "otto"}, "catalogue")
