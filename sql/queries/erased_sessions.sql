select session_hash from erased_session where day between :first and :last;
