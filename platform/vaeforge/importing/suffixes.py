"""Suffixes of files whose readers take long to import."""

HDF = (".h5", ".hdf5")
NIFTI = (".nii", ".nii.gz")
