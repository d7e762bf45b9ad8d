"""The teachers' outputs for every photo, computed once and cached on disk.

A student sees a photo hundreds of times; running the teachers each time would cost far more than
the student itself. So they run once on each whole photo, and a view cuts its window out of their
map. The files grow batch by batch. A row's key has the teachers' weights, the photo's bytes, and
its known classes. If one of these changes, the teachers run again on that photo; renaming or adding
photos does not affect other rows. A killed run loses one batch at most.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from PIL import Image
from torch import Tensor

from training.data.dataset import Sample, is_portrait
from training.distillation.known import Known, known_classes
from training.distillation.teacher import Teachers

DIGEST_BYTES = 16
BATCH = {"cpu": 4, "cuda": 32}
"""Photos in a batch of the teachers, by device."""

HALF_MAX = 65504.0
"""The largest number of half precision."""


class MapFiles:
    """Rows of equal size in files that only grow.

    Attributes:
        rows: Key of a row to its number.

    Args:
        folder: For the files; it is created if needed.
        key: Hash of the teachers and their options.
        shape: (C, rows, columns) of a map.
        hint_shape: (F, rows, columns) of a photo's features, or None.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        shape: tuple[int, ...],
        hint_shape: tuple[int, ...] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"teacher-{key[:16]}"
        self.index = folder / f"{stem}.index"
        self.parts = [(folder / f"{stem}.maps", shape, np.dtype(np.uint8))]
        if hint_shape:
            self.parts.append((folder / f"{stem}.hints", hint_shape, np.dtype(np.float16)))
        self.rows: dict[bytes, int] = {}
        self.reload()

    def reload(self) -> None:
        """Read which rows are complete."""
        digests = self.index.read_bytes() if self.index.is_file() else b""
        starts = range(0, len(digests) - DIGEST_BYTES + 1, DIGEST_BYTES)
        self.rows = {digests[start : start + DIGEST_BYTES]: i for i, start in enumerate(starts)}

    def repair(self) -> None:
        """Truncate rows that a killed run did not complete; only while no other run writes."""
        sizes = [self.index.stat().st_size // DIGEST_BYTES if self.index.is_file() else 0]
        for path, shape, dtype in self.parts:
            size = path.stat().st_size if path.is_file() else 0
            sizes.append(size // (int(np.prod(shape)) * dtype.itemsize))
        complete = min(sizes)
        row_bytes = [DIGEST_BYTES]
        row_bytes += [int(np.prod(shape)) * dtype.itemsize for _, shape, dtype in self.parts]
        for path, size in zip([self.index, *(p[0] for p in self.parts)], row_bytes, strict=True):
            with path.open("ab") as file:
                file.truncate(complete * size)
        self.reload()

    def append(self, digests: Sequence[bytes], *arrays: np.ndarray) -> None:
        """Append rows: the values first, then the keys that make them valid."""
        for (path, shape, dtype), array in zip(self.parts, arrays, strict=True):
            if array.shape[1:] != shape:
                raise ValueError(f"{path} holds rows of {shape}, not of {array.shape[1:]}")
            with path.open("ab") as file:
                file.write(array.astype(dtype).tobytes())
        with self.index.open("ab") as file:
            first = file.tell() // DIGEST_BYTES
            file.write(b"".join(digests))
        self.rows.update({digest: first + i for i, digest in enumerate(digests)})

    def read(self, part: int) -> np.ndarray:
        """Return all rows of a part, (rows, ...), memory-mapped."""
        path, shape, dtype = self.parts[part]
        count = path.stat().st_size // (int(np.prod(shape)) * dtype.itemsize)
        return np.memmap(path, dtype, "r", shape=(count, *shape))


def digest(sample: Sample, known: Known) -> bytes:
    """Return the key of a photo's row: a hash of its bytes and its known classes."""
    key = hashlib.sha256(repr(known).encode())
    key.update(sample.photo.read_bytes())
    return key.digest()[:DIGEST_BYTES]


def run_teachers(
    teachers: Teachers,
    samples: Sequence[Sample],
    folder: Path,
    *,
    num_classes: int,
    prior_factor: float,
    device: torch.device,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return the teachers' maps of photos; run the teachers only on photos without a row.

    Args:
        teachers: The teachers.
        samples: The photos.
        folder: For the files; a lock keeps two runs from writing at the same time.
        num_classes: The student's number of classes.
        prior_factor: Factor of the probability of a class in a prior.
        device: For the teachers.
        workers: Threads that decode.
        progress: Called with (done, total) after each batch.

    Returns:
        Probabilities x 255 (R, C, rows, columns) uint8 and features (R, F, rows', columns')
        float16 or None, both memory-mapped, and each photo's row, (N,) int64.

    Raises:
        ValueError: The teachers have another number of classes than the student.
    """
    files = _open_files(teachers, folder, num_classes, device)
    with ThreadPoolExecutor(workers) as pool:
        known = list(pool.map(lambda s: known_classes(s, num_classes, prior_factor), samples))
        digests = list(pool.map(digest, samples, known))
        with FileLock(files.index.with_name(f".{files.index.name}.lock")):
            files.repair()
            todo = {d: i for i, d in enumerate(digests) if d not in files.rows}
            batches = _batches(teachers, samples, todo.values(), BATCH.get(device.type, 4))
            done = 0
            for batch, photos in _decoded(samples, batches, max(teachers.sizes), pool):
                transposed = is_portrait(samples[batch[0]])
                maps, features = teachers.predict(
                    [photo.to(device) for photo in photos], transposed
                )
                maps = torch.stack([known[i].apply(m) for i, m in zip(batch, maps, strict=True)])
                arrays = [(maps * 255).round().byte().cpu().numpy()]
                if features is not None:
                    arrays.append(features.clamp(-HALF_MAX, HALF_MAX).half().cpu().numpy())
                files.append([digests[i] for i in batch], *arrays)
                done += len(batch)
                if progress:
                    progress(done, len(todo))
    rows = np.array([files.rows[d] for d in digests])
    return files.read(0), files.read(1) if len(files.parts) > 1 else None, rows


def _open_files(
    teachers: Teachers, folder: Path, num_classes: int, device: torch.device
) -> MapFiles:
    """Open the files of these teachers; a run on a black photo determines their shapes."""
    black = torch.zeros(3, 64, 64, dtype=torch.uint8, device=device)
    maps, features = teachers.predict([black], transposed=False)
    if maps.shape[1] != num_classes:
        raise ValueError(
            f"the teacher has {maps.shape[1]} classes, the student {num_classes}: "
            "give --num-classes"
        )
    hint_shape = None if features is None else tuple(features.shape[1:])
    return MapFiles(folder, teachers.key, tuple(maps.shape[1:]), hint_shape)


def _batches(
    teachers: Teachers, samples: Sequence[Sample], todo: Iterable[int], size: int
) -> list[list[int]]:
    """Return batches of up to `size` photos that the teachers see at the same sides."""
    groups: dict[object, list[int]] = {}
    for i in todo:
        with Image.open(samples[i].photo) as image:
            plan = (image.height > image.width, teachers.plan(image.height, image.width))
        groups.setdefault(plan, []).append(i)
    return [
        group[start : start + size]
        for group in groups.values()
        for start in range(0, len(group), size)
    ]


def _decoded(
    samples: Sequence[Sample], batches: list[list[int]], short: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[list[int], list[Tensor]]]:
    """Yield batches with their photos; the next batch is decoded in the background."""
    pending: list[tuple[list[int], list[Future]]] = []
    for batch in [*batches, None]:
        if batch is not None:
            pending.append((batch, [pool.submit(_pixels, samples[i], short) for i in batch]))
        if pending and (batch is None or len(pending) > 1):
            ready, futures = pending.pop(0)
            yield ready, [future.result() for future in futures]


def _pixels(sample: Sample, short: int) -> Tensor:
    """Decode a photo, scaled down if its shorter side is above `short`: (3, H, W) uint8."""
    with Image.open(sample.photo) as image:
        image = image.convert("RGB")
        scale = short / min(image.size)
        if scale < 1:
            size = tuple(round(side * scale) for side in image.size)
            image = image.resize(size, Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)  # (3, H, W) uint8
