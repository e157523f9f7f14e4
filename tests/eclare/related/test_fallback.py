import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.arrays.topk import PAD
from eclare.related.fallback import CATEGORY, POPULAR, Popular, fill_up

PRODUCTS = 10


def reference(product, labels, popularity, allowed, category, most):
    chosen = [label for label in labels if label != PAD]
    added = []
    liked = sorted((p for p in range(PRODUCTS) if allowed[p] and popularity[p] > 0), key=lambda p: (-popularity[p], p))
    own = [p for p in liked if category[product] >= 0 and category[p] == category[product]]
    for source, some in ((CATEGORY, own), (POPULAR, liked)):
        for label in some:
            same = sum(category[other] == category[label] >= 0 for other in chosen)
            if len(chosen) < len(labels) and label != product and label not in chosen and not (most and same >= most):
                chosen.append(label)
                added.append(source)
    return chosen, added


@given(seed=st.integers(0, 10_000), most=st.integers(0, 2))
@hypothesis_settings(deadline=None, max_examples=80)
def test_lists_are_filled_from_the_category_and_then_from_everywhere(seed, most):
    random = np.random.default_rng(seed)
    popularity = random.integers(0, 4, PRODUCTS).astype(np.float32)
    allowed, category = random.random(PRODUCTS) < 0.8, random.integers(-1, 3, PRODUCTS).astype(np.int32)
    labels, scores = np.full((PRODUCTS, 5), PAD, np.int32), np.zeros((PRODUCTS, 5), np.float32)
    for product, there in enumerate(random.integers(0, 6, PRODUCTS)):
        labels[product, :there] = random.permutation(np.delete(np.arange(PRODUCTS), product))[:there]
        scores[product, :there] = -np.sort(-random.normal(size=there))
    filled, filled_scores, added = fill_up(labels, scores, Popular.of(popularity, allowed, category), most)
    for product in range(PRODUCTS):
        chosen, sources = reference(product, labels[product], popularity, allowed, category, most)
        assert filled[product].tolist() == chosen + [PAD] * (5 - len(chosen))
        assert added[product][added[product] >= 0].tolist() == sources
        there = len(chosen) - len(sources)
        assert filled_scores[product, : len(chosen)] == pytest.approx(
            [*scores[product, :there], *[scores[product, there - 1] if there else 0] * len(sources)]
        )
