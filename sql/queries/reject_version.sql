-- A version that passed before stays what it is: readers have seen it. One that was withdrawn stays so, too.
update recommendation_version
set status = case when status in ('live', 'retired', 'withdrawn') then status else 'rejected' end, judged_at = coalesce(judged_at, now()),
    dropped_at = case when :has_rows then dropped_at else now() end
where version_id = :version_id;
