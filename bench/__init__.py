"""Benchmarks: what AIRRA does beside its peers and beside the limit, on the same messages in one run (`airra bench`)."""
