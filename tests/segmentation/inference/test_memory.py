"""Peak memory of a 12-megapixel photo, measured in a process of its own."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from helpers.published import save_random

LIMIT_MB = 400  # above the loaded model, its first small photo included

CHILD = """
import json, pathlib, resource, sys
import numpy as np
import segmentation

def peak():
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # ru_maxrss would start at the size of the process that forked this one
        line = next(l for l in status.read_text().splitlines() if l.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    scale = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale

segmenter = segmentation.load(sys.argv[1], device="cpu", weights=sys.argv[2])
segmenter.predict(np.zeros((64, 64, 3), np.uint8), size=32)
before = peak()
result = segmenter.predict(sys.argv[3])
print(json.dumps({"above": peak() - before, "shape": result.class_map.shape}))
"""


@pytest.mark.parametrize("name", ["deeplabv3_mobilenet_v3_large"])
def test_twelve_megapixels_stay_under_the_limit(name, tmp_path):
    pytest.importorskip("resource", reason="Windows has no resource module")
    small = np.random.default_rng(0).integers(0, 256, (75, 100, 3), np.uint8)
    Image.fromarray(small).resize((4000, 3000)).save(tmp_path / "photo.jpg", quality=80)
    weights = save_random(name, tmp_path / "w.pth")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, name, str(weights), str(tmp_path / "photo.jpg")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(done.stdout)
    assert measured["shape"] == [3000, 4000]
    # class map, runner-up and confidence alone are 72 MB
    assert 72 < measured["above"] < LIMIT_MB
