"""From a day's clicks to pairs of products that share a session or follow one another. In ibis expressions."""

import ibis

from tasks.ingest.engine import Int64s, count_rows, materialise, more_frequent_than, text_hash
from tasks.ingest.log_format import EVENT_TYPES
from tasks.settings import Settings

DAY_SECONDS = 86_400
SECOND_BITS, RANK_BITS = 17, 2  # of a code, from the right: second of the day, rank, then the product
STRONGEST_FIRST = {kind: rank for rank, kind in enumerate(reversed(EVENT_TYPES), 1)}
WEAKEST = len(EVENT_TYPES)
FOLLOWED = 0  # the rank of a product that was reached from another product's page


def pairing(settings: Settings) -> str:
    """The settings that shape a day's pairs, as a text to compare."""
    return f"{settings.pair_minutes} minutes, {settings.pair_direction}, up to {settings.max_session_products} products"


def without_large_sessions(clicks: ibis.Table, settings: Settings) -> tuple[ibis.Table, int]:
    """The clicks of sessions of at most MAX_SESSION_PRODUCTS products, and the number of sessions that have more.

    Products reached from another's page are not counted. What makes no pairs must not count a product either: lift
    compares a pair's sessions with those that chance would bring together of the sessions counted.
    """
    most = settings.max_session_products
    frequent = more_frequent_than(most, materialise(clicks.select(key=text_hash(clicks.session_id))))
    if frequent is None:
        return clicks, 0
    may_be_large = clicks.filter(text_hash(clicks.session_id).isin(frequent.key))
    reached = may_be_large.source_product_id.notnull().any()
    products = may_be_large.group_by("session_id", "product_id").agg(reached=reached).filter(~ibis._.reached)
    large = materialise(products.group_by("session_id").having(ibis._.count() > most).agg())
    too_large = count_rows(large)
    return (clicks.anti_join(large, "session_id"), too_large) if too_large else (clicks, 0)


def products_of(clicks: ibis.Table) -> ibis.Table:
    """(product_id, product): every product clicked or clicked from, numbered in the order of its id."""
    sources = clicks.filter(clicks.source_product_id.notnull()).select(product_id=clicks.source_product_id)
    ids = clicks.select("product_id").union(sources).distinct()
    number = ibis.row_number().over(order_by="product_id")
    # By way of int32: ibis takes row numbers for int64 and would leave the cast out; Spark's are int32 and overflow.
    return materialise(ids.mutate(product=number.cast("int32").cast("int64")))


def sessions_of(clicks: ibis.Table, products: ibis.Table) -> ibis.Table:
    """(codes,): each product of a session once, sorted, as a number that `_product`, `_rank` and `_second` take apart.

    It stands for the product's first click of its strongest type; rank FOLLOWED: reached from another product's page.
    """
    strength = clicks.event_type.cases(*STRONGEST_FIRST.items(), else_=WEAKEST)
    rank = clicks.source_product_id.notnull().ifelse(FOLLOWED, strength)
    second = clicks.event_time.epoch_seconds() % DAY_SECONDS
    clicks = clicks.select("session_id", "product_id", rank=rank.cast("int64"), second=second.cast("int64"))
    clicks = clicks.inner_join(products, "product_id")
    code = clicks["product"] * (1 << SECOND_BITS + RANK_BITS) + clicks["rank"] * (1 << SECOND_BITS) + clicks.second
    sessions = clicks.group_by("session_id").agg(codes=code.collect())
    codes = materialise(sessions.select(codes=sessions.codes.sort())).codes  # else it is sorted for every comparison
    first = codes.filter(lambda code, i: (i == 0) | (_product(codes[i - 1]) != _product(code)))
    return materialise(first.name("codes").as_table())


def count_products(sessions: ibis.Table) -> ibis.Table:
    """(product, sessions): how many sessions held each product, by product."""
    held = sessions.select(code=sessions.codes.unnest())
    return held.group_by(product=_product(held.code)).agg(sessions=ibis._.count()).order_by("product")


def baskets_of(sessions: ibis.Table) -> ibis.Table:
    """(codes,): the products of each session that pair with one another."""
    baskets = sessions.select(codes=sessions.codes.filter(lambda code: _rank(code) != FOLLOWED))
    return baskets.filter(baskets.codes.length() > 1)


def together(baskets: ibis.Table, products: int, settings: Settings) -> ibis.Table:
    """(key,): one row for every basket and pair of its products that leads both ways; `split_keys` reads them.

    Clicks more than pair_minutes apart make no pair; a pair has the weaker of its two types.
    """
    pairs = _near(baskets, settings)
    kept = _product(pairs.code_i) < _product(pairs.code_j)
    if settings.pair_direction == "later":
        kept &= _second(pairs.code_i) == _second(pairs.code_j)  # neither came first
    return _keys(pairs.filter(kept), products)


def later(baskets: ibis.Table, products: int, settings: Settings) -> ibis.Table:
    """(key,): one row for every basket and pair of its products of which the second was clicked later."""
    pairs = _near(baskets, settings)
    return _keys(pairs.filter(_second(pairs.code_i) < _second(pairs.code_j)), products)


def followed(clicks: ibis.Table, products: ibis.Table, count: int) -> ibis.Table:
    """(key,): one row for every session, product and product reached from its page, with the strongest type."""
    clicks = clicks.filter(clicks.source_product_id.notnull() & (clicks.source_product_id != clicks.product_id))
    rank = clicks.event_type.cases(*STRONGEST_FIRST.items(), else_=WEAKEST)
    queries = products.select(source_product_id="product_id", query="product")
    steps = clicks.select("session_id", "product_id", "source_product_id", rank=rank)
    steps = steps.inner_join(products.rename(related="product"), "product_id").inner_join(queries, "source_product_id")
    steps = steps.group_by("session_id", "query", "related").agg(rank=ibis._["rank"].min())
    return _keys_of(steps, steps["query"], steps.related, steps["rank"], count)


def split_keys(keys: Int64s, products: int) -> tuple[Int64s, Int64s, Int64s]:
    """First product, second product and event type (a place in EVENT_TYPES) of sorted keys."""
    bits = products.bit_length()
    pair, kind = keys >> RANK_BITS, keys & ((1 << RANK_BITS) - 1)
    return pair >> bits, pair & ((1 << bits) - 1), kind


def _near(baskets: ibis.Table, settings: Settings) -> ibis.Table:
    pairs = baskets.mutate(code_i=baskets.codes.unnest()).mutate(code_j=ibis._.codes.unnest()).drop("codes")
    if settings.pair_minutes * 60 >= DAY_SECONDS:
        return pairs
    apart = _second(pairs.code_j) - _second(pairs.code_i)
    return pairs.filter(apart.between(-settings.pair_minutes * 60, settings.pair_minutes * 60))


def _keys(pairs: ibis.Table, products: int) -> ibis.Table:
    weaker = ibis.greatest(_rank(pairs.code_i), _rank(pairs.code_j))
    return _keys_of(pairs, _product(pairs.code_i), _product(pairs.code_j), weaker, products)


def _keys_of(pairs: ibis.Table, query: ibis.Value, related: ibis.Value, rank: ibis.Value, products: int) -> ibis.Table:
    kind = len(EVENT_TYPES) - rank
    key = query * (1 << products.bit_length() + RANK_BITS) + related * (1 << RANK_BITS) + kind
    return pairs.select(key=key.cast("int64"))


def _product(code: ibis.Value) -> ibis.Value:
    return code >> (SECOND_BITS + RANK_BITS)


def _rank(code: ibis.Value) -> ibis.Value:
    return (code >> SECOND_BITS) & ((1 << RANK_BITS) - 1)


def _second(code: ibis.Value) -> ibis.Value:
    return code & ((1 << SECOND_BITS) - 1)
