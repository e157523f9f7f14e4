-- Until the transaction ends: how long a query may take, and none is compiled, which takes longer than a page has.
select set_config('statement_timeout', cast(:milliseconds as text), true), set_config('jit', 'off', true);
