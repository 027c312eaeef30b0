"""The incidents log, folded: what several readers share."""
