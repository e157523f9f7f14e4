-- A score's part that the shop's rules made; views and functions are made anew after every migration.

alter table recommendation_reason add column score_rules real;
comment on column recommendation_reason.score_co_clicks is 'What sessions with both add to the score, of all half-lives. The seven parts sum to the published score; null where the model did not rank the pair.';
comment on column recommendation_reason.score_rules is 'What the shop''s rules (MAX_SAME_CATEGORY, DIVERSITY) made of the score when they moved the pair to another rank.';

drop function if exists explain_recommendation(text, text);
