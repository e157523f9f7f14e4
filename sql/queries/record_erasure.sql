insert into erasure (user_hash, phrase_hash, phrase_words, reason, code_version)
select
    encode(sha256(convert_to(salt || :user_id, 'UTF8')), 'hex'),
    encode(sha256(convert_to(salt || :phrase, 'UTF8')), 'hex'),
    :phrase_words,
    :reason,
    :code_version
from erasure_salt
returning erasure_id;
