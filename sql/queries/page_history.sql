-- A product's first ten places in the versions that were accepted last, by night.
with versions as (
    select version_id, night, status
    from recommendation_version
    where status in ('live', 'retired', 'withdrawn') and dropped_at is null
    order by night desc, version_id desc
    limit :nights
)
select
    versions.version_id, versions.night, versions.status, own.sessions, listed.rank, listed.related_product_id,
    related.title, related.category, related.brand, related.price
from versions
left join recommended_product as own on own.version_id = versions.version_id and own.product_id = :product_id
left join recommendation as listed
    on listed.version_id = versions.version_id and listed.product_id = :product_id and listed.rank <= 10
left join recommended_product as related
    on related.version_id = versions.version_id and related.product_id = listed.related_product_id
order by versions.night, versions.version_id, listed.rank;
