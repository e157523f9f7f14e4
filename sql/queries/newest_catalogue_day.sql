select max(day) from catalogue_load;
