-- Why a pair is recommended: one row for each pair of the first ranks of a version.

create table recommendation_reason (
    version_id bigint not null,
    product_id text not null,
    related_product_id text not null,
    sessions integer not null check (sessions >= 0),
    last_day date,
    neighbours jsonb not null,
    attention_text real,
    attention_graph real,
    attention_refinement real,
    score_co_clicks real,
    score_popularity real,
    score_like_products real,
    score_titles real,
    score_model real,
    score_base real,
    primary key (version_id, product_id, related_product_id)
) partition by list (version_id);
comment on table recommendation_reason is 'Why a product is recommended on another''s page: the first ranks (EXPLAINED_RANKS) of every version; one partition per version.';
comment on column recommendation_reason.version_id is 'recommendation_version.version_id.';
comment on column recommendation_reason.product_id is 'The product whose page shows the related product.';
comment on column recommendation_reason.related_product_id is 'The product recommended there.';
comment on column recommendation_reason.sessions is 'Sessions of the night''s window in which both were met.';
comment on column recommendation_reason.last_day is 'Day of the last of them; null where there is none.';
comment on column recommendation_reason.neighbours is 'Products nearest to the related one in the label graph: object of product_id -> edge weight, heaviest first by weight.';
comment on column recommendation_reason.attention_text is 'Weight of the related product''s title in its classifier; the three attentions sum to 1.';
comment on column recommendation_reason.attention_graph is 'Weight of its graph neighbours'' titles.';
comment on column recommendation_reason.attention_refinement is 'Weight of what was learnt for it alone.';
comment on column recommendation_reason.score_co_clicks is 'What sessions with both add to the score, of all half-lives. The six parts sum to the model''s score; null where the model did not rank the pair.';
comment on column recommendation_reason.score_popularity is 'What the popularity of both adds.';
comment on column recommendation_reason.score_like_products is 'What sessions of products with like titles, or over one more product, add.';
comment on column recommendation_reason.score_titles is 'What words that both titles share add.';
comment on column recommendation_reason.score_model is 'What ECLARE''s own score adds.';
comment on column recommendation_reason.score_base is 'The score of a pair that is average in everything.';
