"""Find a product, see its list in any version and why, beside another version's, and where it is shown itself."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from pages.guards import MAY_LOOK, UserMay, policy_with_images
from pages.names import tell_apart
from pages.queries import Reader, reading
from pages.rendering import page
from tasks.publish.title_words import typed_words
from tasks.settings import Settings

FOUND, SHOWN_ON, MOST_PAGES, NIGHTS, IN_HISTORY = 50, 20, 2_000, 10, 15
CLICKED = 2_000  # products among which words are looked for first
PARTS = {  # by part of a score, as the stylesheet names it: what it is
    "co-clicks": "sessions with both", "popularity": "popularity", "like-products": "sessions of like products",
    "titles": "words that both titles share", "model": "the model", "rules": "the rules of the list",
}  # fmt: skip
BASE = "a pair that is average in everything"
SOURCES = {  # by source of a row: what it says
    "co-click": "a session held both products",
    "model": "found without a session that held both",
    "cold": "the product has no session yet, its title led here",
    "category": "what goes with the category or sells well there, since the list was too short",
    "popular": "what sells everywhere, since the list was too short",
    "pinned": "a person put it there",
}
Row = dict[str, Any]

router = APIRouter(dependencies=[MAY_LOOK])


class History(NamedTuple):
    """Nights (version_id, night, status, sessions), and every related product with its ranks in them."""

    nights: Sequence[Row]
    lines: Sequence[tuple[Row, Sequence[int | None]]]


@router.get("/search")
def search(request: Request, words: str = "") -> Response:
    """Products by how words of their titles begin, typos forgiven, or by their id."""
    said: list[str] = []
    found: list[Row] = []
    with reading() as read:
        version_id = _chosen(read, None)
        if words.strip() and version_id is not None:
            found = _find(read, version_id, words, said)
    if len(found) > FOUND:
        found = found[:FOUND]
        said.append(
            f"More products than these {FOUND} begin so; these are the most clicked. Type more words to see others."
        )
    tell_apart(found)
    return page(request, "search.html.j2", words=words, found=found, said=said)


@router.get("/product")
def product(request: Request, may: UserMay, product_id: str, version: int | None = None, beside: str = "") -> Response:
    """The list of a product in a version, the live one where none is asked for, and beside another."""
    beside_id = int(beside) if beside.isdecimal() else None
    with reading() as read:
        kept = read("page_kept_versions")
        version_id = _chosen(read, version)
        described = read.one("page_product", version_id=version_id, product_id=product_id)
        if described is None and beside_id is not None:
            described = read.one("page_product", version_id=beside_id, product_id=product_id)
        if described is None:
            which = f"Version {version}" if version else "The live version"
            raise HTTPException(
                404, f"{which} does not know the product {product_id!r}: look for it by words of its title."
            )
        product_id = described["product_id"]  # in its normal form, whatever was typed
        wanted = [each for each in (version_id, beside_id) if each is not None]
        columns: list[Row] = [
            {"version": each, "related": read("page_related", version_id=each["version_id"], product_id=product_id)}
            for chosen in wanted for each in kept if each["version_id"] == chosen
        ]  # fmt: skip
        shown_on = read("page_shown_on", version_id=version_id, product_id=product_id, most=MOST_PAGES, shown=SHOWN_ON)
        history = _history(read("page_history", product_id=product_id, nights=NIGHTS))
    listed = [row for column in columns for row in column["related"]]
    tell_apart([described, *listed, *shown_on, *(product for product, _ in history.lines)])
    zero = _explain(columns)
    hosts = Settings().image_hosts or ""
    return page(
        request, "product.html.j2", headers=policy_with_images(hosts), product=described, columns=columns, kept=kept,
        version_id=version_id, beside_id=beside_id, shown_on=shown_on, history=history, zero=zero, parts=PARTS,
        sources=SOURCES, most_pages=MOST_PAGES, may_set_rules=may.set_rules,
        may_show=lambda address: bool(address) and _is_of(hosts, address),
    )  # fmt: skip


def _chosen(read: Reader, version: int | None) -> int | None:
    """The version asked for, else the live one, None where nothing is live; raises HTTPException 404 for none kept."""
    if version is None:
        live: int | None = read("page_live")[0]["version_id"]
        return live
    if not any(each["version_id"] == version for each in read("page_kept_versions")):
        raise HTTPException(404, f"No version {version} has its rows: choose one of the page Versions.")
    return version


def _find(read: Reader, version_id: int, words: str, said: list[str]) -> list[Row]:
    """The rows found, one more than are shown where there are more; what a person should know is added to `said`."""
    where = {"version_id": version_id, "most": FOUND + 1, "clicked": CLICKED}
    found = read("page_search", **where, words=words.strip())
    if found:
        return found
    said.append("No title of the live version has words that begin so, and no product has this id.")
    if not read("can_compare_words")[0]["can_compare_words"]:
        said.append(
            "Mistyped words are not looked up, since this database lacks the extension pg_trgm: its owner may run "
            "create extension pg_trgm."
        )
        return []
    typed = typed_words(words)
    meant = [_meant(read, word) for word in typed]
    if meant == typed:
        return []
    found = read("page_search", **where, words=" ".join(meant))
    if found:
        said.append(f"Shown is what {' '.join(meant)!r} finds.")
    return found


def _meant(read: Reader, word: str) -> str:
    """The word of a title that is most like a mistyped one, itself where none is."""
    like = None if word.isdecimal() else read.one("like_word", word=word)
    return str(like["word"]) if like else word


def _explain(columns: Sequence[Row]) -> float:
    """Add to every row its `why`, the `bar` of its parts, what is `spoken` of it, `is_hidden` and its `mark`.

    The mark says where the other list has it. Returns where the bars begin, 0 to 100.
    """
    rows = [row for column in columns for row in column["related"]]
    below, above = (max((_reach(row, sign) for row in rows), default=0.0) for sign in (-1, 1))
    scale = 100 / ((below + above) or 1.0)
    zero = round(below * scale, 2)
    for row in rows:
        parts = _parts(row)
        row["bar"], row["why"] = _bar(parts, zero, scale), _why(row, parts)
        row["spoken"] = ", ".join(f"{PARTS[name]} {value:+.2f}" for name, value in parts.items())
        row["parts"] = [(PARTS[name], value) for name, value in parts.items()]
        if row["score_base"] is not None:
            row["parts"].append((BASE, row["score_base"]))
        row["is_hidden"] = _hidden(row)
    for column, other in zip(columns, reversed(columns), strict=True):
        rank_there = {row["product_id"]: row["rank"] for row in other["related"]}
        for row in column["related"]:
            there = rank_there.get(row["product_id"])
            row["mark"] = "" if there == row["rank"] else f"place {there} in the other" if there else "not in the other"
    return zero


def _parts(row: Row) -> dict[str, float]:
    """The parts of a score by name; none where the ranker did not score the pair."""
    found = {name: row[f"score_{name.replace('-', '_')}"] for name in PARTS}
    return {name: value for name, value in found.items() if value is not None}


def _reach(row: Row, sign: int) -> float:
    return sum(max(sign * value, 0.0) for value in _parts(row).values())


def _bar(parts: dict[str, float], zero: float, scale: float) -> list[tuple[str, float, float]]:
    """Name, left end and width of each part, from `zero` to both sides."""
    left, right, drawn = zero, zero, []
    for name, value in parts.items():
        width = round(abs(value) * scale, 2)
        if value < 0:
            left = round(left - width, 2)
        drawn.append((name, left if value < 0 else right, width))
        if value >= 0:
            right = round(right + width, 2)
    return drawn


def _why(row: Row, parts: dict[str, float]) -> str:
    """What is known of the pair, in a sentence or two; the heaviest part is that of the bar."""
    if row["source"] == "pinned":
        told = f" ({row['actor']}: {row['reason']})" if row["action"] == "pin" else ""
        return f"A person pinned it{told}."
    if row["source"] in ("category", "popular") or (row["source"] == "co-click" and row["sessions"] is None):
        return f"{SOURCES[row['source']].capitalize()}."
    if row["sessions"] is None:
        return "Only the first places are explained."
    count = row["sessions"]
    both = f"{count:,} session{'s contain' if count > 1 else ' contains'} both products, the last on {row['last_day']}."
    together = both if count else "No session contains both products."
    heaviest = max(parts, key=lambda name: parts[name], default=None)
    if heaviest is None:
        return together
    if parts[heaviest] <= 0:
        return f"{together} No part of its score speaks for it; the others had less."
    return f"{together} The largest part of its score comes from {PARTS[heaviest]}."


def _hidden(row: Row) -> str:
    if row["is_blocked"]:
        return "hidden from readers: the newest catalogue blocks it"
    if row["action"] == "block":
        until = f" until {row['until']}" if row["until"] else ""
        return f"hidden from readers: {row['actor']} blocked the pair{until} ({row['reason']})"
    return ""


def _history(rows: Sequence[Row]) -> History:
    """Ranks by night of what stood in the first ten of any; what stands highest and last comes first."""
    nights: dict[int, Row] = {row["version_id"]: row for row in rows}
    ranks: dict[str, dict[int, int]] = {}
    products: dict[str, Row] = {}
    for row in rows:
        if row["rank"]:
            product = products[row["related_product_id"]] = row | {"product_id": row["related_product_id"]}
            ranks.setdefault(product["product_id"], {})[row["version_id"]] = row["rank"]
    newest_first = list(reversed(nights))
    order = sorted(ranks, key=lambda product: [ranks[product].get(version, 99) for version in newest_first])
    lines = [(products[each], [ranks[each].get(version) for version in nights]) for each in order[:IN_HISTORY]]
    return History(list(nights.values()), lines)


def _is_of(hosts: str, address: str) -> bool:
    """Whether a picture lies on one of the hosts, as the content policy will see it."""
    seen = urlsplit(address)
    for host in hosts.split():
        scheme, _, name = host.rpartition("://")
        is_part = name.startswith("*.") and seen.netloc.endswith(name[1:])
        if scheme in ("", seen.scheme) and (seen.netloc == name or is_part):
            return True
    return False
