insert into exposure (version_id, products, share_of_places) values (:version_id, :products, :share_of_places);
