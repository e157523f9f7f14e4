"""The words of a version's titles, for table title_word: what a mistyped word of a search may have meant."""

import pyarrow as pa
import pyarrow.compute as pc

SHORTEST, LONGEST = 3, 40  # letters of a word; a shorter one is like too many others


def words_of(titles: pa.ChunkedArray) -> pa.Table:
    """Columns word and products, one row a word of letters alone; a title with a word twice counts twice."""
    words = pc.list_flatten(pc.split_pattern_regex(pc.utf8_lower(titles), r"[^\pL\pN]+"))
    fits = pc.match_substring_regex(words, rf"^\pL{{{SHORTEST},{LONGEST}}}$")
    counted = pc.value_counts(words.filter(fits))
    return pa.table({"word": counted.field("values"), "products": counted.field("counts")})
