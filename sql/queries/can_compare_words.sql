select to_regprocedure('similarity(text, text)') is not null as can_compare_words;
