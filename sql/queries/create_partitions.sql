-- Tables of their own until attached: filling them locks no reader. With the checks, attaching needs no scan.
create table recommendation_{version_id} (
    like recommendation including comments including constraints,
    check (version_id = {version_id})
);
alter table recommendation_{version_id} alter column version_id set default {version_id};
comment on table recommendation_{version_id} is 'Partition of recommendation: version {version_id}.';

create table recommended_product_{version_id} (
    like recommended_product including comments including constraints,
    check (version_id = {version_id})
);
alter table recommended_product_{version_id} alter column version_id set default {version_id};
comment on table recommended_product_{version_id} is 'Partition of recommended_product: version {version_id}.';

create table recommendation_reason_{version_id} (
    like recommendation_reason including comments including constraints,
    check (version_id = {version_id})
);
alter table recommendation_reason_{version_id} alter column version_id set default {version_id};
comment on table recommendation_reason_{version_id} is 'Partition of recommendation_reason: version {version_id}.';
