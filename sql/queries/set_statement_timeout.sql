select set_config('statement_timeout', cast(:milliseconds as text), true);
