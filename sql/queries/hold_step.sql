-- Waits while another transaction holds the row; held until this one ends.
insert into step_lock (what) values (:what)
on conflict (what) do update set since = now();
