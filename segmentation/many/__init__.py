"""A folder of photos: found, shared among workers or a cluster, and resumed where it stopped."""
