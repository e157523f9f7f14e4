-- Erasures that reach rows without a user, ids of several words in quarantine, and what other steps write meanwhile.

alter table erasure add column phrase_hash text;
alter table erasure add column phrase_words smallint;
update erasure set phrase_hash = user_hash, phrase_words = 1;
alter table erasure alter column phrase_hash set not null, alter column phrase_words set not null;
comment on column erasure.phrase_hash is 'SHA-256 of the salt followed by the id from its first letter or digit to its last, as it is found within a text.';
comment on column erasure.phrase_words is 'Words (runs of letters and digits) of the id; 0: it has none and is found as a whole text alone.';

create table erased_session (
    day date not null,
    session_hash text not null,
    primary key (day, session_hash)
);
comment on table erased_session is 'Sessions of erased users: later loads leave out their rows without a user. The session id itself is stored nowhere.';
comment on column erased_session.day is 'UTC day of the clicks.';
comment on column erased_session.session_hash is 'SHA-256 of the salt followed by the day, a space and the session id.';

create table clicks_lock ();
comment on table clicks_lock is 'Holds no row. Steps that read or write clicks lock it together, an erasure alone; analysts may not.';
