-- Dropping an attached partition locks readers out: give up rather than make them queue.
set local lock_timeout = '5s';
drop table if exists recommendation_{version_id}, recommended_product_{version_id};
delete from recommendation_version where version_id = {version_id};
