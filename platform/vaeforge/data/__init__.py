"""From raw files under data/<family> to checked arrays: recognise the layout, split, cut, write, verify."""
