select min(day) as first, max(day) as last from daily_aggregate;
