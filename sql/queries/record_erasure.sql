insert into erasure (user_hash, reason, code_version)
select encode(sha256(convert_to(salt || :user_id, 'UTF8')), 'hex'), :reason, :code_version
from erasure_salt
returning erasure_id;
