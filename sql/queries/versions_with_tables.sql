-- Versions that were given up and still have tables, oldest first.
select version_id
from recommendation_version
where dropped_at is not null
    and exists (
        select
        from pg_class
        where relnamespace = current_schema()::regnamespace
            and relname in (
                'recommendation_' || version_id, 'recommended_product_' || version_id,
                'recommendation_reason_' || version_id
            )
    )
order by version_id;
