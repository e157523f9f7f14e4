-- Views and functions are created in the order of their files' names: this one first, since others use it.
create or replace function normal_id(id text)
returns text
language sql immutable parallel safe
return btrim(normalize(id, NFC), E' \t');

comment on function normal_id(text) is 'An id as logs and catalogues are read: without spaces and tabs around, letters and their accents composed.';
