-- Versions of a night that somebody withdrew and that nobody has answered since by approving one of the night; the
-- version itself counts until it is approved.
select count(*)
from recommendation_version
where night = :night
    and status = 'withdrawn'
    and (
        version_id = :version_id
        or withdrawn_at > coalesce(
            (
                select max(change.changed_at)
                from live_version_change as change
                join recommendation_version as approved using (version_id)
                where approved.night = :night and change.action = 'override'
            ),
            '-infinity'
        )
    );
