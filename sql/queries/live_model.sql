select night, model_hash, catalogue_count
from recommendation_version
where version_id = (select version_id from live_version);
