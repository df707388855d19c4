#!/usr/bin/env bash
# mrcfile 1.5.4 reads bytes (mode 0) as signed, as MRC 2014 has it, and does not look at what IMOD writes beside it: files
# with its stamp (1146047817 at byte 152) and without the flag 1 (byte 156) hold unsigned ones, as its older versions and
# those with WRITE_MODE0_SIGNED=0 wrote them. Seen: 0, 127, 128, 255 become 0, 127, -128, -1, without a warning, so that
# what was brightest is darkest. Look at the stamp and the flags, and take `.view("uint8")`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mrcfile==1.5.4 numpy==2.4.6
cd "$folder"
venv/bin/python -W error - <<'PY'
import struct

import mrcfile
import numpy as np

head = bytearray(1024)
head[:16] = struct.pack("<4i", 2, 2, 1, 0)
head[152:160] = struct.pack("<2i", 1146047817, 0)
head[208:216] = b"MAP \x44\x44\0\0"
with open("a.mrc", "wb") as file:
    file.write(bytes(head) + bytes([0, 127, 128, 255]))
with mrcfile.open("a.mrc") as file:
    found = np.array(file.data).ravel().tolist()
print(found)
assert found == [0, 127, -128, -1]
PY
