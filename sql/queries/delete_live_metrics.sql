-- What a later night judged stays: it has seen later clicks of the day.
delete from live_metric where day = :day and judged_night <= :judged_night;
