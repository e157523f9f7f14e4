"""What tells products of one title apart."""

from pages.names import tell_apart


def product(product_id: str, title: str, category: str | None = None, price: str | None = None) -> dict:
    return {"product_id": product_id, "title": title, "category": category, "brand": None, "price": price}


def test_only_namesakes_are_told_apart_and_by_what_differs():
    shown = [product("1", "Mug", "Tea", "$1"), product("2", "Mug", "Tea", "$2"), product("3", "Mug", "Tea"),
             product("4", "Bowl", "Tea", "$1"), product("4", "Bowl", "Tea", "$1")]  # fmt: skip
    tell_apart(shown)
    assert [row["apart"] for row in shown] == [["$1", "1"], ["$2", "2"], ["3"], [], []]


def test_where_nothing_else_differs_the_id_does():
    shown = [product("1", "Milk"), product("2", "Milk")]
    tell_apart(shown)
    assert [row["apart"] for row in shown] == [["1"], ["2"]]
