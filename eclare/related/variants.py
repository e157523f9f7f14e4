"""Variants: products that are the same but for size or colour, told by their titles, categories and brands."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from eclare.arrays.csr import Rows

NONE = -1  # the number of a product without a title: it has no variants

UNITS = """
    mg g gr grams? kg kilos? oz ounces? lbs? pounds? ml cl dl l lt ltr lit(?:er|re)s? fl gal gallons? qt quarts?
    pt pints? mm cm m mtr met(?:er|re)s? ft feet foot inch(?:es)? yds? yards? w watts? v volts? mah gb tb mb
    pk pks packs? pcs? pieces? ct cts counts? pairs? sets? rolls? sheets? tabs? tablets? caps(?:ules)? stuck stk er
"""
SIZES = """
    xxxs xxs xs s m l xl xxl xxxl xxxxl [2-6]xl small medium large klein mittel gross petit moyen grand mini maxi
"""
# Left out: what names a flavour or a fruit as often as a colour (orange, lime, olive, peach, plum, rose).
COLOURS = """
    black white red green blue yellow purple violet pink brown grey gray beige ivory navy teal turquoise maroon magenta
    schwarz weiss rot grun gruen blau gelb lila rosa braun grau turkis tuerkis
    noir noire blanc blanche rouge vert verte bleu bleue jaune gris grise marron
    negro negra blanco blanca rojo roja verde azul amarillo amarilla morado rosado
    nero nera bianco bianca rosso rossa blu giallo gialla viola grigio grigia marrone
    preto preta branco branca vermelho vermelha amarelo amarela roxo cinza castanho
    zwart wit rood groen blauw geel paars roze bruin grijs
"""
NUMBER = r"\d+(?:[.,/]\d+)*"
QUANTITY = rf"(?:{NUMBER}\s*[x*]\s*)*{NUMBER}\s*-?\s*(?:{'|'.join(UNITS.split())})(?![^\W_])"
SIZE = (
    rf"(?:size|sz|taille|grosse|groesse|talla|taglia|tamanho|maat)\s*:?\s*(?:{NUMBER}|[a-z]{{1,4}})(?![^\W_])"
    rf"|(?:{'|'.join(SIZES.split())})(?![^\W_])"
)
COLOUR_WORDS = frozenset(COLOURS.split())
VARYING = re.compile(rf"(?<![^\W_])(?:{QUANTITY}|{SIZE})")
WORD = re.compile(r"[^\W_]+")


class Variants(NamedTuple):
    """Two numbers of each of P products: products of one `title_P` have one title, those of one `group_P` are variants.

    Titles are one title when they differ in case and blanks alone. Variants have one title, or one category, one brand
    and titles that are one after `normalised`; a category or brand that is not known is like no known one. -1 where
    there is no title.
    """

    title_P: Rows
    group_P: Rows

    @classmethod
    def of(
        cls, titles: Sequence[str | None], categories: Sequence[object | None], brands: Sequence[str | None]
    ) -> "Variants":
        """Numbers from 0 in the order of first appearance; raises ValueError where the lengths disagree."""
        if not len(titles) == len(categories) == len(brands):
            raise ValueError(
                f"titles, categories and brands must be as many, got {len(titles)}, {len(categories)}, {len(brands)}"
            )
        title_P = title_numbers(titles)
        normal_of = {title: normalised(title) for title in set(titles) if title}
        kinds = [
            (normal_of[title], category, " ".join(brand.casefold().split()) if brand else None) if title else None
            for title, category, brand in zip(titles, categories, brands, strict=True)
        ]
        return cls(title_P, _joined(title_P, _numbered(kinds)))


def title_numbers(titles: Sequence[str | None]) -> Rows:
    """A number for the title of each product, the same where titles differ in case and blanks alone; -1 for none."""
    return _numbered([" ".join(title.casefold().split()) or None if title else None for title in titles])


def normalised(title: str) -> str:
    """A title without case, accents, punctuation, quantities (12 OZ, 6x500ml, 2 pk), sizes (XL, size 42) and colours.

    A title of nothing else stays what it is. A number without a unit stays, since it names a model as often as a size.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", title.casefold()) if not unicodedata.combining(c))
    plain = plain.casefold().replace("'", "").replace("\N{RIGHT SINGLE QUOTATION MARK}", "")
    words = [word for word in WORD.findall(VARYING.sub(" ", plain)) if word not in COLOUR_WORDS]
    return " ".join(words or WORD.findall(plain) or plain.split())


def _numbered(values: Sequence[object | None]) -> Rows:
    """A number for every distinct value, from 0 in the order of first appearance; -1 for None."""
    number_of: dict[object, int] = {}
    numbers = (NONE if value is None else number_of.setdefault(value, len(number_of)) for value in values)
    return np.fromiter(numbers, np.int32, len(values))


def _joined(title_P: Rows, kind_P: Rows) -> Rows:
    """A number for products that one title or one kind joins, also by way of others."""
    known = np.flatnonzero((title_P != NONE) & (kind_P != NONE))
    titles = int(title_P.max(initial=NONE)) + 1
    nodes = titles + int(kind_P.max(initial=NONE)) + 1
    edges = sp.coo_matrix((np.ones(len(known)), (title_P[known], titles + kind_P[known])), shape=(nodes, nodes))
    component = sp.csgraph.connected_components(edges, directed=False)[1]
    return _numbered([int(component[title]) if title != NONE else None for title in title_P])
