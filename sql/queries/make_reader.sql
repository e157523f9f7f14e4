-- A login of analysts' tools, which owns nothing. That it reads only is what analyst may do; the setting says so sooner.
drop role if exists reader;
create role reader login password :password in role analyst connection limit 20;
alter role reader set default_transaction_read_only = on;
