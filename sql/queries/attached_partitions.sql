select inhparent::regclass::text as parent
from pg_inherits
join pg_class as partition on partition.oid = inhrelid
where relnamespace = current_schema()::regnamespace
    and relname in (
        'recommendation_' || :version_id, 'recommended_product_' || :version_id, 'recommendation_reason_' || :version_id
    );
