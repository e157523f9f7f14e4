-- Detaches that were cut off: until they are completed, no other partition of the table can be detached.
select inhparent::regclass::text as parent, inhrelid::regclass::text as partition
from pg_inherits
where inhdetachpending
    and inhparent in ('recommendation'::regclass, 'recommended_product'::regclass, 'recommendation_reason'::regclass);
