select salt from erasure_salt;
