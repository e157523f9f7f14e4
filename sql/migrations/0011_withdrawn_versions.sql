-- Versions that were withdrawn, warnings of the gate, the size of the catalogue, products blocked by now.

alter table recommendation_version drop constraint recommendation_version_status_check;
alter table recommendation_version
    add column withdrawn_at timestamptz,
    add column catalogue_count bigint check (catalogue_count >= 0),
    add constraint recommendation_version_status_check
        check (status in ('staged', 'rejected', 'live', 'retired', 'withdrawn')),
    add check ((withdrawn_at is null) = (status <> 'withdrawn'));
comment on column recommendation_version.status is 'staged: being written, never read; rejected: the gate refused it; live: what readers see; retired: passed, but not live (displaced, or a past night); withdrawn: a rollback took it away, and only a person who approves it brings it back.';
comment on column recommendation_version.withdrawn_at is 'When a rollback took it away; null where none did, or it was approved since.';
comment on column recommendation_version.catalogue_count is 'Products in the night''s catalogue; null for versions from before.';
comment on column recommendation_version.dropped_at is 'When its rows were given up (retention, or a zero rule); its partitions go afterwards. Null while they are there.';

-- Code from before dropped partitions first, and may have been killed before it said so.
update recommendation_version as version
set dropped_at = now()
where dropped_at is null
    and status in ('rejected', 'retired')
    and (
        select count(*)
        from pg_inherits
        where not inhdetachpending
            and inhrelid in (
                to_regclass('recommendation_' || version.version_id),
                to_regclass('recommended_product_' || version.version_id)
            )
    ) < 2;

alter table gate_verdict add column level text not null default 'stop' check (level in ('stop', 'warn'));
comment on column gate_verdict.level is 'stop: the version is refused where the rule fails; warn: somebody should look.';
comment on column gate_verdict.passed is 'A version becomes live only if all rules of its judgement passed whose level is stop, or somebody overrode the gate.';

create table blocked_product (product_id text primary key check (product_id <> ''));
comment on table blocked_product is 'Products that the newest stored catalogue blocks: readers of the live version do not see them, whatever its night.';
comment on column blocked_product.product_id is 'The product.';
