insert into night_build (night, interactions_hash, first_day, catalogue_day, catalogue_hash, code_version)
values (:night, :interactions_hash, :first_day, :catalogue_day, :catalogue_hash, :code_version)
on conflict (night, interactions_hash) do update
set first_day = excluded.first_day, catalogue_day = excluded.catalogue_day, catalogue_hash = excluded.catalogue_hash,
    built_at = now(), code_version = excluded.code_version;
