delete from blocked_product;
