drop table if exists recommendation_{version_id}, recommended_product_{version_id}, recommendation_reason_{version_id};
