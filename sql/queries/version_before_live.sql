select version_before_live();
