-- A version's tables belong to whom the whole tables belong, so that retention is not the business of who made them.
do $$
declare
    ours record;
begin
    for ours in
        select part.oid::regclass as part, whole.relowner::regrole as owner
        from pg_class as whole
        join pg_class as part on part.oid = to_regclass(whole.relname || '_{version_id}')
        where whole.oid = any(array['recommendation', 'recommended_product', 'recommendation_reason']::regclass[])
            and part.relowner <> whole.relowner
            and pg_has_role(whole.relowner, 'member')
    loop
        execute format('alter table %s owner to %s', ours.part, ours.owner);
    end loop;
end;
$$;
