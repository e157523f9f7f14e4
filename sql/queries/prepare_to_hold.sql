-- Until the transaction ends: its name for others, how long it waits for a lock, and that it may be idle meanwhile.
select set_config('application_name', :who, true), set_config('lock_timeout', :wait, true)
union all
select set_config(name, '0', true), null
from pg_settings
where name in ('idle_in_transaction_session_timeout', 'statement_timeout', 'transaction_timeout');
