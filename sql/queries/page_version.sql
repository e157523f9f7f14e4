-- One row: a version, and what it would replace. No row where there is none.
select
    version.version_id, version.night, version.status, version.row_count, version.product_count, version.catalogue_count,
    version.judged_at, version.withdrawn_at, version.dropped_at is null as has_rows, version.code_version,
    version.model_code_version, version.model_hash, version_before(version.version_id) as version_before,
    live.version_id as live_version, live_version.night as live_night
from recommendation_version as version
left join live_version as live on true
left join recommendation_version as live_version on live_version.version_id = live.version_id
where version.version_id = :version_id and version.status <> 'staged';
