-- Run once by psql, as the superuser of docker-compose.yml's PostgreSQL, when its volume is empty: the databases, each
-- with an owner that is no superuser, and the roles that sql/grants.sql grants to, which an owner may not make.
\getenv recommendations_password RECOMMENDATIONS_DATABASE_PASSWORD
\getenv nightly_password NIGHTLY_DATABASE_PASSWORD
\getenv airflow_password AIRFLOW_DATABASE_PASSWORD

create role recommendations login password :'recommendations_password';
create database recommendations owner recommendations;
create role analyst nologin;
create role publisher nologin;
grant publisher to recommendations;  -- so that migrations may give it the tables that nights add to
create role nightly login password :'nightly_password' in role publisher;

create role airflow login password :'airflow_password';
create database airflow owner airflow;

-- By default whoever may log in may connect to every database.
revoke all on database recommendations, airflow from public;
grant connect, temporary on database recommendations to analyst, publisher;
