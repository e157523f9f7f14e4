-- The version is written into the statement: see related_products_of_version.
create or replace function explain_recommendation(product_id text, related_product_id text)
returns table (
    title text, related_title text, rank smallint, score real, source text, sessions integer, last_day date,
    neighbours jsonb, attention_text real, attention_graph real, attention_refinement real, score_co_clicks real,
    score_popularity real, score_like_products real, score_titles real, score_model real, score_base real,
    score_rules real, reason text
)
language plpgsql stable rows 1
set search_path from current
as $$
declare
    page_id text;
    related_id text;
begin
    -- As they are given first: a version from before ids had a normal form may be live.
    for page_id, related_id in
        values (product_id, related_product_id), (normal_id(product_id), normal_id(related_product_id))
    loop
        return query execute format(
            $lookup$
                select
                    product.title, related.title, recommendation.rank, recommendation.score, recommendation.source,
                    why.sessions, why.last_day, why.neighbours, why.attention_text, why.attention_graph, why.attention_refinement,
                    why.score_co_clicks, why.score_popularity, why.score_like_products, why.score_titles, why.score_model,
                    why.score_base, why.score_rules,
                    case
                        when recommendation.source = 'pinned' then 'A person pinned it: see pair_rule.'
                        when recommendation.source = 'category' then 'It goes with the category or sells well there; the list was too short.'
                        when recommendation.source = 'popular' then 'It is popular in the shop; the list was too short.'
                        when why.sessions is null then 'Only the first ranks are explained (EXPLAINED_RANKS).'
                        else concat_ws(
                            ' ',
                            case
                                when why.sessions = 0 then 'No session contains both products.'
                                when why.sessions = 1 then format('1 session contains both products, the last on %%s.', why.last_day)
                                else format('%%s sessions contain both products, the last on %%s.', why.sessions, why.last_day)
                            end,
                            case
                                when heaviest.part is not null then format('The largest part of its score comes from %%s.', heaviest.part)
                                when why.score_base is not null then 'No part of its score speaks for it; the others had less.'
                            end
                        )
                    end
                from shown_recommendation as recommendation
                join recommended_product as product
                    on product.version_id = %1$L and product.product_id = recommendation.product_id
                join recommended_product as related
                    on related.version_id = %1$L and related.product_id = recommendation.related_product_id
                left join recommendation_reason as why
                    on why.version_id = %1$L
                    and why.product_id = $1
                    and why.related_product_id = $2
                left join lateral (
                    select part.name
                    from (
                        values ('sessions with both', why.score_co_clicks), ('popularity', why.score_popularity),
                            ('sessions of like products', why.score_like_products), ('words that both titles share', why.score_titles),
                            ('the model', why.score_model), ('the rules of the list', why.score_rules)
                    ) as part (name, value)
                    where part.value > 0
                    order by part.value desc
                    limit 1
                ) as heaviest (part) on true
                where recommendation.version_id = %1$L
                    and recommendation.product_id = $1
                    and recommendation.related_product_id = $2
            $lookup$,
            (select version_id from live_version)
        ) using page_id, related_id;
        exit when found;
    end loop;
end;
$$;

comment on function explain_recommendation(text, text) is 'Why the live version recommends the second product on the page of the first; no row where it does not: select * from explain_recommendation(''1234'', ''5678'').';
