-- The word of a title that is most like a mistyped one, of equals the one that more products have (extension pg_trgm).
select word
from title_word
where word % :word and length(word) between length(:word) - 2 and length(:word) + 2
order by similarity(word, :word) desc, abs(length(word) - length(:word)), products desc
limit 1;
