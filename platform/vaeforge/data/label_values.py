"""Values of label maps, and of labels in the prepared arrays."""

UNLABELLED, NORMAL, ANOMALOUS = 0, 1, 2  # pixels of labels.png
NORMAL_ITEM, ANOMALOUS_ITEM = 0, 1  # test_labels
