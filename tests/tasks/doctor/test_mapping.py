"""Which column is which, by names in several languages and by values."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.doctor.mapping import folded, guess_catalogue, guess_event_types, guess_log
from tasks.doctor.peek import Column, Peek
from tasks.doctor.titles import writing_of


def columns(**values: Sequence[object]) -> Peek:
    rows = len(next(iter(values.values())))
    return Peek(
        "csv", rows=rows, columns={name.replace("__", "."): Column(list(column)) for name, column in values.items()}
    )


N = 60
TIMES = [f"2017-06-30 10:{n:02d}:00" for n in range(N)]
PRODUCTS = [f"A{n % 7}" for n in range(N)]
SESSIONS = [f"s{n // 4}" for n in range(N)]
USERS = [n // 8 for n in range(N)]
TITLES = [f"Enamel mug no {n % 7}" for n in range(N)]


@pytest.mark.parametrize(
    "names",
    [
        ("ts", "sku", "visitId", "visitorId"),
        ("InvoiceDate", "StockCode", "InvoiceNo", "CustomerID"),
        ("Bestelldatum", "Artikelnummer", "Bestellnummer", "Kundennr"),
        ("Date de commande", "Référence", "Numéro commande", "Client"),
        ("fecha_pedido", "Código producto", "Pedido", "Cliente"),
        ("日時", "商品ID", "注文番号", "会員番号"),
        ("Дата заказа", "Артикул", "Номер заказа", "Клиент"),
    ],
)
def test_names_that_shops_give(names: tuple[str, str, str, str]) -> None:
    found = columns(**dict(zip(names, (TIMES, PRODUCTS, SESSIONS, USERS), strict=True)), Menge=[1] * N)
    guesses = {guess.ours: guess.theirs for guess in guess_log(found)}
    assert guesses == dict(zip(("event_time", "product_id", "session_id", "user_id"), names, strict=True))


def test_ids_of_the_catalogue_tell_the_product_where_no_name_does() -> None:
    found = columns(a=TIMES, b=PRODUCTS, c=SESSIONS)
    (time, product) = guess_log(found, set(PRODUCTS))
    assert (time.theirs, product.theirs, product.sure) == ("a", "b", "likely")
    assert "100% of its values are product ids of the other file" in product.why


def test_a_name_whose_values_do_not_fit_is_no_match() -> None:
    found = columns(time=["morning", "evening"] * 30, date=TIMES, item=TITLES, item_id=PRODUCTS, session=SESSIONS)
    guesses = {guess.ours: guess.theirs for guess in guess_log(found)}
    assert (guesses["event_time"], guesses["product_id"]) == ("date", "item_id")


def test_every_column_stands_for_one_of_ours() -> None:
    found = columns(timestamp=TIMES, order_id=SESSIONS, product=PRODUCTS, customer=USERS, type=["view", "cart"] * 30)
    guesses = guess_log(found)
    assert len({guess.theirs for guess in guesses}) == len(guesses) == 5


def test_catalogues() -> None:
    found = columns(
        Artikelnr=PRODUCTS,
        Bezeichnung=TITLES,
        Warengruppe=["Mugs"] * N,
        Preis=["9,50"] * N,
        Bild=["https://a.example/1"] * N,
    )
    guesses = {guess.ours: guess.theirs for guess in guess_catalogue(found)}
    assert guesses == {
        "product_id": "Artikelnr", "title": "Bezeichnung", "category": "Warengruppe", "price": "Preis",
        "image_url": "Bild",
    }  # fmt: skip


def test_event_types() -> None:
    found = guess_event_types(Column(["view_item", "view_item", "Add To Cart", "Kauf", "scroll"]))
    assert found == {"view_item": "view", "Add To Cart": "add_to_cart", "Kauf": "purchase", "scroll": None}


@pytest.mark.parametrize("name", ["visitorId", "Visitor-ID", "VISITOR ID", "visitor_id", " Visitor.Id "])
def test_names_are_folded(name: str) -> None:
    assert folded(name) == "visitor_id"


def test_scripts_and_languages_of_titles() -> None:
    found = writing_of(["Gießkanne grün", "Enamel mug", "マグカップ 青", "кружка"])
    assert found.scripts == {"Latin": 0.5, "Kana": 0.25, "Han": 0.25, "Cyrillic": 0.25}
    assert found.languages == ["Japanese", "German"]
    assert found.without_blanks == 0.25
    assert writing_of([]).scripts == {}


def test_words_are_in_no_list_of_two_columns_of_a_log() -> None:
    import json

    words = json.loads(Path("tasks/doctor/words.json").read_text())["log"]
    listed = [word for column in words.values() for word in column]
    assert len(set(listed)) == len(listed)
