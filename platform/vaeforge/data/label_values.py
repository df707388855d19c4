"""The values of a map of labels, and what an item is called in the prepared arrays."""

UNLABELLED, NORMAL, ANOMALOUS = 0, 1, 2  # pixels of labels.png
NORMAL_ITEM, ANOMALOUS_ITEM = 0, 1  # test_labels
