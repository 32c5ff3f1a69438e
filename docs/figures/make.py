#!/usr/bin/env python3
"""Takes the pictures of the README from a report that `make demo` wrote.

usage: make.py REPORT          Needs chromium and Pillow (13.0.0).
"""

import os
import subprocess
import sys
import tempfile

from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
# name, page, window, part of it to keep (left, upper, right, lower)
PICTURES = (
    ("report", "index.html", "1280,1100", (0, 0, 1280, 1100)),
    ("unit", "site/013-C1_band0_complex.html#unit-2", "1280,2600", (0, 1500, 1280, 2600)),
)


def main():
    report = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        for name, page, window, part in PICTURES:
            shot = os.path.join(folder, name + ".png")
            subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu",
                            "--hide-scrollbars", f"--window-size={window}",
                            "--virtual-time-budget=10000", f"--screenshot={shot}",
                            f"file://{report}/{page}"], check=True, capture_output=True)
            picture = Image.open(shot).convert("RGB").crop(part)
            picture = picture.resize((960, round(picture.height * 960 / picture.width)),
                                     Image.Resampling.LANCZOS)
            picture.quantize(48, dither=Image.Dither.NONE).save(
                os.path.join(HERE, name + ".png"), optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
