-- The k best related products of one product on a channel, with the version that they are of.
select version.version_id, version.night, listed.rank, listed.related_product_id, listed.title, listed.score, listed.source
from related_products(:product_id, :k, :channel) as listed
join recommendation_version as version using (version_id)
order by listed.rank;
