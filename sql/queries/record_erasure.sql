insert into erasure (user_hash, phrase_hash, phrase_words, reason, code_version)
values (:user_hash, :phrase_hash, :phrase_words, :reason, :code_version)
returning erasure_id;
