select
    day, rows_read, accepted, quarantined, duplicates, quarantined_percent, loaded_at, min(day) over () as first_day,
    count(*) over () as days, max(day) over () - min(day) over () + 1 - count(*) over () as days_missing
from ingest_health
order by day desc
limit :days;
