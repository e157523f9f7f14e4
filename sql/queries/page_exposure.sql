select version.night, exposure.version_id, exposure.products, exposure.share_of_places
from exposure
join recommendation_version as version using (version_id)
where exposure.version_id in (:version_id, :beside)
order by exposure.version_id = :version_id desc, exposure.products;
