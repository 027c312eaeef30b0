"""What stands between AIRRA and its neighbours in tests: a proxy that harms, a clock that is wrong, and the neighbours themselves."""
