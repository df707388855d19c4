"""Values of label maps, and of labels in the prepared arrays."""

UNLABELLED, NORMAL, ANOMALOUS = 0, 1, 2  # pixels of labels.png
NORMAL_ITEM, ANOMALOUS_ITEM = 0, 1  # test_labels

ONLY_NORMAL = "without anomalous samples in the test there is no AUROC, AUPRC, pixel AUROC, precision or recall"
