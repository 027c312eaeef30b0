"""Series: what each id means, and from raw samples to the points of derived series."""
