delete from metric where night = :night and model_hash = :model_hash;
