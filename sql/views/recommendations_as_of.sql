create or replace function recommendations_as_of(night date)
returns table (
    product_id text, title text, rank smallint, related_product_id text, related_title text, score real, source text,
    night date, version_id bigint
)
language sql stable
begin atomic
    with version as (
        -- A scalar, not a join: known before the scans begin, so that they read one partition alone.
        select recommendation_version.version_id, recommendation_version.night
        from recommendation_version
        where recommendation_version.version_id = (
            select accepted.version_id
            from recommendation_version as accepted
            where accepted.night <= recommendations_as_of.night
                and accepted.status in ('live', 'retired')
                and accepted.dropped_at is null
            order by accepted.night desc, accepted.status = 'live' desc, accepted.version_id desc
            limit 1
        )
    )
    select
        recommendation.product_id, product.title, recommendation.rank, recommendation.related_product_id,
        related.title, recommendation.score, recommendation.source, version.night, version.version_id
    from version
    join recommendation on recommendation.version_id = version.version_id
    join recommended_product as product
        on product.version_id = version.version_id and product.product_id = recommendation.product_id
    join recommended_product as related
        on related.version_id = version.version_id and related.product_id = recommendation.related_product_id;
end;

comment on function recommendations_as_of(date) is 'The accepted version of the newest night up to the given one whose rows are kept: select * from recommendations_as_of(''2017-06-30'').';
