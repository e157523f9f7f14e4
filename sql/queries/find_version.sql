select version_id
from recommendation_version
where night = :night
    and recommendations_hash = :recommendations_hash
    and products_hash = :products_hash
    and status <> 'staged'
    and dropped_at is null;
