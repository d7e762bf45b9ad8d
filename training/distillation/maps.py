"""What the teachers think of every photo, asked once and kept on disk.

A small student sees a photo hundreds of times; asking the teachers each time would cost far more
than the student itself. So they look at each whole photo once, and a view cuts its window out of
their map. The files grow photo by photo, and a row is found by what it was made from: the
teachers' weights, the photo's bytes, and what is known of its classes. A changed photo, class list
or teacher is asked again, a renamed or added photo costs nobody else anything, and a killed run
loses one batch at most.
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

from training.data.dataset import Sample, is_turned
from training.distillation.known import Known, known_classes
from training.distillation.teacher import Teachers

DIGEST_BYTES = 16
BATCH = {"cpu": 4, "cuda": 32}
"""Photos that the teachers see at once."""

HALF_MAX = 65504.0
"""The largest number of half precision."""


class MapFiles:
    """Rows of equal size in files that only grow.

    Attributes:
        rows: Digest of what a row was made from to its number.

    Args:
        folder: Where the files are, made if needed.
        key: Tells these teachers from others.
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
        """Cut off what a killed run left half written; only while no other run writes."""
        sizes = [self.index.stat().st_size // DIGEST_BYTES if self.index.is_file() else 0]
        for path, shape, dtype in self.parts:
            size = path.stat().st_size if path.is_file() else 0
            sizes.append(size // (int(np.prod(shape)) * dtype.itemsize))
        whole = min(sizes)
        row_bytes = [DIGEST_BYTES]
        row_bytes += [int(np.prod(shape)) * dtype.itemsize for _, shape, dtype in self.parts]
        for path, size in zip([self.index, *(p[0] for p in self.parts)], row_bytes, strict=True):
            with path.open("ab") as file:
                file.truncate(whole * size)
        self.reload()

    def append(self, digests: Sequence[bytes], *arrays: np.ndarray) -> None:
        """Add rows: the values first, then the digests that make them count."""
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
        """All rows of a part, (rows, ...), mapped from disk."""
        path, shape, dtype = self.parts[part]
        count = path.stat().st_size // (int(np.prod(shape)) * dtype.itemsize)
        return np.memmap(path, dtype, "r", shape=(count, *shape))


def digest(sample: Sample, known: Known) -> bytes:
    """Tells what a photo's map is made from: its bytes and what is known of its classes."""
    key = hashlib.sha256(repr(known).encode())
    key.update(sample.photo.read_bytes())
    return key.digest()[:DIGEST_BYTES]


def ask_teachers(
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
    """The teachers' maps of photos, asking only about those that the files lack.

    Args:
        teachers: The teachers.
        samples: The photos.
        folder: Where the files are; runs that share it take turns.
        num_classes: Classes that the student tells apart.
        prior_factor: How much likelier a class becomes that a prior names.
        device: Where the teachers run.
        workers: Threads that decode.
        progress: Called with (done, total) after each batch.

    Returns:
        Probabilities x 255 (R, C, rows, columns) uint8 and features (R, F, rows', columns')
        float16 or None, mapped from disk, and which row is whose, (N,) int64.

    Raises:
        ValueError: The teachers tell another number of classes apart than the student.
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
                turned = is_turned(samples[batch[0]])
                maps, features = teachers.ask([photo.to(device) for photo in photos], turned)
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
    """The files of these teachers; their shapes come from a look at a black photo."""
    black = torch.zeros(3, 64, 64, dtype=torch.uint8, device=device)
    maps, features = teachers.ask([black], turned=False)
    if maps.shape[1] != num_classes:
        raise ValueError(
            f"the teacher tells {maps.shape[1]} classes apart, "
            f"the student {num_classes}: give --num-classes"
        )
    hint_shape = None if features is None else tuple(features.shape[1:])
    return MapFiles(folder, teachers.key, tuple(maps.shape[1:]), hint_shape)


def _batches(
    teachers: Teachers, samples: Sequence[Sample], todo: Iterable[int], size: int
) -> list[list[int]]:
    """Photos that the teachers see at the same sides, up to `size` at once."""
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
    """Batches with their photos, the next one decoded while the teachers look at this one."""
    waiting: list[tuple[list[int], list[Future]]] = []
    for batch in [*batches, None]:
        if batch is not None:
            waiting.append((batch, [pool.submit(_pixels, samples[i], short) for i in batch]))
        if waiting and (batch is None or len(waiting) > 1):
            ready, futures = waiting.pop(0)
            yield ready, [future.result() for future in futures]


def _pixels(sample: Sample, short: int) -> Tensor:
    """A photo as it is on disk, or smaller where its shorter side is above `short`: (3, H, W)."""
    with Image.open(sample.photo) as image:
        image = image.convert("RGB")
        scale = short / min(image.size)
        if scale < 1:
            size = tuple(round(side * scale) for side in image.size)
            image = image.resize(size, Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)  # (3, H, W) uint8
