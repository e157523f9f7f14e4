insert into erasure_day (erasure_id, day, clicks, quarantined)
values (:erasure_id, :day, :clicks, :quarantined);
