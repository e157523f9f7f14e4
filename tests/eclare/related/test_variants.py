"""Which products are the same but for size or colour, against comparing every pair by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.related.variants import Variants, normalised, title_numbers

WORDS = st.sampled_from(["Milk", "MILK", "Mílk", "tea", "12 OZ", "500ml", "2 pk", "XL", "red", "rouge", "7", "!", " "])
TITLES = st.none() | st.lists(WORDS, max_size=4).map(" ".join)
PRODUCTS = st.lists(
    st.tuples(TITLES, st.sampled_from([None, "a", "b"]), st.sampled_from([None, "", "X", "x ", "y"])), max_size=14
)


@pytest.mark.parametrize(
    ("title", "other"),
    [
        ("COCA-COLA 12 OZ", "Coca Cola 6x500ml"), ("Coca Cola", "coca cola 2 pk"), ("batteries 4CT", "Batteries"),
        ("T-Shirt Men's XL Red", "t-shirt mens size 42, BLUE"), ("T-Shirt S", "T-Shirt XXL"),
        ("Crème fraîche 1.5 L", "CREME FRAICHE 200 g"), ("Hose Größe M schwarz", "Hose grösse L weiß"),
        ("Chemise bleue taille 38", "Chemise noire taille 40"), ("bread 16-oz", "Bread (1 lb)"),
        ("soup 10.5 oz", "soup"),
    ],
)  # fmt: skip
def test_size_colour_case_accents_and_punctuation_make_no_other_product(title, other):
    assert normalised(title) == normalised(other)


@pytest.mark.parametrize(
    ("title", "other"),
    [
        ("phone 12", "phone 13"), ("3 in 1 oil", "oil"), ("orange juice", "juice"), ("olive oil", "oil"),
        ("milk 2%", "milk 1%"), ("jam making set", "jam"), ("red", "blue"), ("XL", "XS"), ("item5", "item6"),
        ("靴", "帽子"),
    ],
)  # fmt: skip
def test_what_names_another_product_stays(title, other):
    assert normalised(title) != normalised(other)


@given(title=st.text())
@hypothesis_settings(max_examples=300)
def test_any_title_has_a_normal_form_that_keeps_its_case_out(title):
    normal = normalised(title)
    assert bool(normal) == bool(title.strip()) or not normal.strip()
    assert normal == normal.casefold() or not normal.isascii()


def same_slowly(products):
    """Groups of products by comparing every pair, and pairs of pairs until nothing changes."""

    def one_title(i, j):
        return products[i][0].casefold().split() == products[j][0].casefold().split()

    def alike(i, j):
        brands = [" ".join((products[p][2] or "").casefold().split()) if products[p][2] else None for p in (i, j)]
        same = normalised(products[i][0]) == normalised(products[j][0]) and products[i][1] == products[j][1]
        return one_title(i, j) or (same and brands[0] == brands[1])

    named = [p for p, (title, _, _) in enumerate(products) if title and title.strip()]
    group = {p: p for p in named}
    for _ in named:
        for i in named:
            for j in named:
                if alike(i, j):
                    group[i] = group[j] = min(group[i], group[j])
    return {(i, j): (one_title(i, j), group[i] == group[j]) for i in named for j in named}, named


@given(products=PRODUCTS)
@hypothesis_settings(max_examples=150)
def test_groups_are_those_of_comparing_every_pair(products):
    title_P, group_P = Variants.of(*([product[part] for product in products] for part in range(3)))
    same, named = same_slowly(products)
    assert {(i, j): (title_P[i] == title_P[j], group_P[i] == group_P[j]) for i, j in same} == same
    assert (np.delete(title_P, named) == -1).all() and (np.delete(group_P, named) == -1).all()
    for numbers in (title_P[named], group_P[named]):
        assert list(dict.fromkeys(numbers.tolist())) == list(range(len(set(numbers.tolist()))))


def test_a_brand_that_is_not_known_is_like_no_known_one():
    titles = ["tea 100 g", "tea 200 g", "tea 300 g", "tea 400 g"]
    group_P = Variants.of(titles, [None] * 4, ["Acme", None, "acme", None]).group_P
    assert group_P.tolist() == [0, 1, 0, 1]


def test_one_title_is_one_product_whatever_brand_and_category_say():
    variants = Variants.of(["Tea", "tea ", "coffee"], ["a", "b", "a"], ["x", "y", None])
    assert variants.title_P.tolist() == variants.group_P.tolist() == [0, 0, 1]
    assert title_numbers(["Tea", None, "", "TEA"]).tolist() == [0, -1, -1, 0]


def test_lists_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="must be as many, got 1, 2, 1"):
        Variants.of(["a"], ["b", "c"], [None])
