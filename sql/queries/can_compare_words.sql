-- Words of four letters with one of them missing share a fifth of their trigrams, less than is asked for otherwise.
select
    to_regprocedure('similarity(text, text)') is not null as can_compare_words,
    set_config('pg_trgm.similarity_threshold', '0.2', true);
