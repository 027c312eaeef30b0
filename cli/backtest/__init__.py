"""`airra detect` and `airra backtest`: the detector over series from files, and what it is worth."""
