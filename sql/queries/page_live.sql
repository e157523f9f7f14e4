-- One row: the live version, what it is made of and how old it is; all null where nothing is live.
select
    staleness.version_id, staleness.night, version.status, staleness.live_since, staleness.age_hours, staleness.night_ended_hours,
    version.row_count, version.product_count, version.catalogue_count, version.model_hash, version.judged_at,
    version.code_version, version_before_live() as version_before, now() as asked_at
from staleness
left join recommendation_version as version using (version_id);
