insert into ingest_rule_count (load_id, rule, outcome, row_count)
values (:load_id, :rule, :outcome, :row_count);
