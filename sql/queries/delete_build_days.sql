delete from night_build_day where night = :night and interactions_hash = :interactions_hash;
