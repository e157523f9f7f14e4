alter table recommendation attach partition recommendation_{version_id} for values in ({version_id});
alter table recommendation_reason attach partition recommendation_reason_{version_id} for values in ({version_id});
alter table recommended_product attach partition recommended_product_{version_id} for values in ({version_id});
