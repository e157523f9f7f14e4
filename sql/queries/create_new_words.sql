create temporary table new_word (word text, products bigint) on commit drop;
