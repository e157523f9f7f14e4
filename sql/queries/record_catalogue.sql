insert into catalogue_load (day, file_name, file_hash, catalogue_hash, products, refused, code_version)
values (:day, :file_name, :file_hash, :catalogue_hash, :products, :refused, :code_version);
