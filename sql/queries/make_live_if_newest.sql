-- A past night never displaces a newer live one. Returns a row where the version is live now.
select move_live_version(version_id, :action, :actor, :reason) is not null as is_live
from recommendation_version as candidate
where version_id = :version_id
    and not exists (
        select
        from recommendation_version as live
        where live.version_id = (select version_id from live_version) and live.night > candidate.night
    );
