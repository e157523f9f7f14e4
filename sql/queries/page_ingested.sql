select day, rows_read, accepted, quarantined, duplicates, quarantined_percent, loaded_at
from ingest_health
order by day desc
limit :days;
