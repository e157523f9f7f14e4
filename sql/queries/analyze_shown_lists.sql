analyze shown_list;
