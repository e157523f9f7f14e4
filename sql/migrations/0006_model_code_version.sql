-- A version is described by the training that made its model: its config and its code, not those of the publish.

alter table recommendation_version add column model_code_version text;
comment on column recommendation_version.model_code_version is 'Commit (or package version) of the code that trained the model; null for versions from before.';
comment on column recommendation_version.config_hash is 'SHA-256 of the config that the model was trained with; null for versions from before. Versions without model_code_version have that of the config when they were published.';
comment on column gate_verdict.rule is 'Name of the rule, as in the table RULES of tasks/publish/gate.py.';
comment on table gate_verdict is 'The gate''s verdicts on a version, before it could become live: one row per judgement and rule.';
