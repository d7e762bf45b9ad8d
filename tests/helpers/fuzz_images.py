"""Fuzz the image decoder for a given time.

`python -m tests.helpers.fuzz_images --minutes 10` runs Atheris (libFuzzer, guided by the lines of
the project and of Pillow that a file reaches), which mutates the good and the bad inputs. Anything
but an image or an `ImageError` within 5 seconds and 1 GB is a finding: its file is written into
--out, its cause is printed, and the exit status is 1. Atheris comes with
`pip install -r requirements-fuzz.txt`.
"""

import argparse
import faulthandler
import importlib.util
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from .pictures import bad_inputs

ROOT = Path(__file__).resolve().parents[2]

MOST_SECONDS, MOST_MB, MOST_BYTES = 5.0, 1000.0, 1 << 20


def attempt(data: bytes) -> tuple[str, str]:
    """Open one file; return ("picture", "error" or "finding", details)."""
    from segmentation import ImageError  # after Atheris has prepared these modules
    from segmentation.images.photo import open_photo

    status, marks = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    before = 0.0
    if marks.exists():
        marks.write_text("5")
        before = _megabytes(status, "VmRSS")
    start = time.perf_counter()
    try:
        photo = open_photo(data)
        kind, text = "picture", str(photo.image.shape)
        if photo.image.dtype != np.uint8 or photo.image.ndim != 3 or photo.image.shape[2] != 3:
            kind = "finding"
    except ImageError as error:
        kind, text = "error", str(error)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        kind, text = "finding", repr(error)
    seconds = time.perf_counter() - start
    grown = _megabytes(status, "VmHWM") - before if marks.exists() else 0.0
    if seconds > MOST_SECONDS or grown > MOST_MB:
        return "finding", f"{seconds:.1f} s, {grown:.0f} MB: {text}"
    return kind, text


def _megabytes(status: Path, key: str) -> float:
    line = next(line for line in status.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


class Counts:
    """Counts of the attempts of each kind, also in a file, because libFuzzer ends the process."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.counts = {"picture": 0, "error": 0, "finding": 0}
        self._written = 0.0

    def try_file(self, data: bytes) -> None:
        """Try one file, as Atheris's callback. A finding is saved, and the fuzzing continues."""
        kind, text = attempt(data)
        self.counts[kind] += 1
        if kind == "finding":
            number = self.counts["finding"]
            (self.out / f"finding{number}.bin").write_bytes(data)
            print(f"finding {number}: {text}", flush=True)
        if time.monotonic() - self._written > 1:
            self._written = time.monotonic()
            scratch = self.out / "counts.part"
            scratch.write_text(json.dumps(self.counts))
            scratch.replace(self.out / "counts.json")


def write_corpus(folder: Path) -> None:
    """Write the good and the bad inputs as files, from which libFuzzer starts."""
    folder.mkdir(parents=True, exist_ok=True)
    good = [bad_inputs.encode(form) for form in bad_inputs.FORMATS]
    bad = [case.data for case in bad_inputs.cases() if 0 < len(case.data) < 50_000]
    for number, data in enumerate([*good, *bad]):
        (folder / f"{number:04}.bin").write_bytes(data)


def fuzz(minutes: float, seed: int, out: Path) -> None:
    """Run Atheris until the time is over; does not return."""
    import atheris

    with atheris.instrument_imports(include=["segmentation", "PIL"]):
        import segmentation.images.photo
    segmentation.images.photo.decoder.apart = (
        False  # in this process, where Atheris measures coverage
    )
    write_corpus(out / "corpus")
    options = {
        "max_total_time": round(60 * minutes),
        "seed": seed + 1,  # 0 would mean a random one
        "max_len": MOST_BYTES,
        "timeout": 60,
        "rss_limit_mb": 0,  # `attempt` checks the memory of each file
        "artifact_prefix": f"{out}/crash-",
        "verbosity": 0,
    }
    words = [sys.argv[0], *(f"-{name}={value}" for name, value in options.items())]
    atheris.Setup([*words, str(out / "corpus")], Counts(out).try_file)
    atheris.Fuzz()


def main() -> int:
    """Run the command line: fuzz and print the counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="for findings")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.child:
        faulthandler.enable()
        warnings.simplefilter("ignore")
        fuzz(options.minutes, options.seed, options.out)
    if importlib.util.find_spec("atheris") is None:
        print("the fuzzer is missing: pip install -r requirements-fuzz.txt", file=sys.stderr)
        return 2
    (options.out / "counts.json").unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.fuzz_images", *sys.argv[1:], "--child"], check=False
    )
    counts = json.loads((options.out / "counts.json").read_bytes())
    crashes = len(list(options.out.glob("crash-*")))
    counts["finding"] += crashes
    print(json.dumps({"minutes": options.minutes, "seed": options.seed, **counts}))
    return 1 if counts["finding"] or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
