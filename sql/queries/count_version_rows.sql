select count(*) from recommendation_{version_id};
