-- Who moved the pointer or withdrew a version, and why: the last ones first.
(
    select live_from as at, action, night, version_id, previous_night, previous_version_id, actor, reason
    from live_history
)
union all
(
    select withdrawal.withdrawn_at, 'withdraw', null, null, version.night, version_id, withdrawal.actor, withdrawal.reason
    from version_withdrawal as withdrawal
    join recommendation_version as version using (version_id)
)
order by at desc
limit :moves;
