"""Label a folder of photos, and resume after a stop."""

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from segmentation.batch.discovery import find_photos
from segmentation.batch.executors import label_in_process, label_in_processes
from segmentation.batch.journal import JOURNAL, Journal
from segmentation.batch.plan import Plan, check_folders, folders_of, make_plan
from segmentation.batch.ray_executor import label_on_ray
from segmentation.batch.reports import CLASSES, FAILURES, write_classes, write_failures
from segmentation.batch.settings import BatchSettings, settle, settle_precision
from segmentation.batch.tasks import PhotoOutcome, PhotoTask
from segmentation.batch.worker import PhotoWorker
from segmentation.console import print_error
from segmentation.errors import ModelError, PixelwiseError
from segmentation.export.files import check_writable, remove_partial_files
from segmentation.export.names import paths_of
from segmentation.inference.segmenter import Segmenter
from segmentation.progress import Bar

INTERRUPTED = 130  # the shell's exit status after Ctrl-C
_MAX_ENDINGS = 6
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


def label_folder(
    folder: Path,
    out: Path,
    settings: BatchSettings,
    *,
    workers: int = 1,
    threads: int | None = None,
    ray: str | None = None,
) -> int:
    """Label every photo in a folder that is not labelled yet, and write the tables.

    Args:
        folder: folder of the photos, searched with its subfolders.
        out: output folder; created if missing.
        settings: model, palette and opacity.
        workers: processes on this machine (1: the current one), or actors on the cluster.
        threads: threads per worker; None for its share of the processors.
        ray: address of a Ray cluster, see `label_on_ray`; None for this machine only.

    Returns:
        The exit status: 0 on success, 1 if something failed, 130 after Ctrl-C.
    """
    run = _Run(Path(os.path.abspath(folder)), Path(os.path.abspath(out)), workers, threads, ray)
    try:
        check_folders(run.folder, run.out)
        check_writable(run.out)
        with _exclusive(run.out), Journal(run.out / JOURNAL) as journal:
            return run.finish(settings, journal)
    except KeyboardInterrupt:
        print_error("Stopped. Finished photos are saved; run the same command again to continue.")
        return INTERRUPTED
    except PixelwiseError as error:
        return print_error(str(error))
    except OSError as error:
        return print_error(f"cannot write to {str(out)!r}: {error.strerror or error}")


@dataclass(frozen=True)
class _Run:
    folder: Path
    out: Path
    workers: int
    threads: int | None
    ray: str | None

    def finish(self, settings: BatchSettings, journal: Journal) -> int:
        """Label the remaining photos, write the tables, and return the exit status."""
        photos, failures, skipped = find_photos(self.folder, self.out)
        if not photos and not failures:
            raise PixelwiseError(
                f"no photos in {str(self.folder)!r}{_skipped_text(skipped)}: check the path"
            )
        if self.ray:
            settings = _for_cluster(settings)
        settings, segmenter = settle(settings)
        if segmenter.note:
            print_error(f"note: {segmenter.note}")
        plan = make_plan(photos, self.folder, self.out, journal, settings)
        categories = segmenter.categories
        done = set(plan.done)
        try:
            if plan.tasks:
                outcomes = self._outcomes(settings, segmenter, photos, plan, journal)
                del segmenter  # the workers have their own
                with contextlib.closing(outcomes):
                    self._record(outcomes, plan, journal, done, failures)
        finally:
            remove_partial_files(folders_of(self.out, plan.tasks))
            rows = (journal.row(image) for image in photos if image in done)
            write_classes(self.out / CLASSES, categories, rows)
            write_failures(self.out / FAILURES, sorted(failures))
        labelled = len(done) - len(plan.done)
        return self._report(labelled, len(plan.done), sorted(failures), _skipped_text(skipped))

    def _outcomes(
        self,
        settings: BatchSettings,
        segmenter: Segmenter,
        photos: list[str],
        plan: Plan,
        journal: Journal,
    ) -> Iterator[PhotoOutcome]:
        """Yield the outcome of each photo; nothing starts before the first `next`."""
        remove_partial_files(folders_of(self.out, plan.tasks))  # from a killed run
        paths = (self.folder / image for image in photos)
        settings, segmenter = settle_precision(settings, segmenter, paths)
        tasks = _mark_started(plan.tasks, journal)
        make = partial(PhotoWorker, settings)
        if self.ray:
            del segmenter
            gpu = settings.device.startswith("cuda")
            yield from label_on_ray(
                make, list(tasks), self.workers, self.ray, threads=self.threads, gpu=gpu
            )
        elif self.workers == 1:
            label = PhotoWorker(settings, self.threads or 0, segmenter=segmenter)
            yield from label_in_process(label, tasks)
        else:
            threads = self.threads or max(1, torch.get_num_threads() // self.workers)
            workers = min(self.workers, len(plan.tasks))
            del segmenter
            yield from label_in_processes(make, tasks, workers, threads)

    def _record(
        self,
        outcomes: Iterator[PhotoOutcome],
        plan: Plan,
        journal: Journal,
        done: set[str],
        failures: list[tuple[str, str]],
    ) -> None:
        """Write each outcome to the journal or to the failures."""
        total = len(plan.done) + len(plan.tasks)
        names = {task.image: task.name for task in plan.tasks}
        bar = Bar("photos", initial=len(plan.done), total=total)
        try:
            for outcome in outcomes:
                if outcome.error:
                    failures.append((outcome.image, outcome.error))
                else:
                    if self.ray:
                        self._check_shared(names[outcome.image])
                    journal.add(outcome.row)
                    done.add(outcome.image)
                failed = f"{len(failures)} failed" if failures else ""
                bar(len(done) + len(failures), total, failed)
        finally:
            bar.close()

    def _check_shared(self, name: str) -> None:
        for path in paths_of(self.out, name):
            if not path.is_file():
                raise PixelwiseError(
                    f"a worker wrote {path.name}, but this machine cannot see it: --out must be at "
                    "the same path on storage that all nodes share"
                )

    def _report(
        self, labelled: int, done_before: int, failures: list[tuple[str, str]], skipped: str
    ) -> int:
        for image, reason in failures:
            print_error(f"{image}: {reason}")
        earlier = f", {done_before} done before" if done_before else ""
        failed = f", {len(failures)} failed" if failures else ""
        print_error(f"{labelled} labelled{earlier}{failed}{skipped}: see {self.out / CLASSES}")
        return 1 if failures else 0


def _skipped_text(skipped: Counter[str]) -> str:
    """Describe the files that are not photos: how many, and the most frequent endings."""
    if not skipped:
        return ""
    endings = [ending or "without an ending" for ending, _ in skipped.most_common(_MAX_ENDINGS)]
    more = ", ..." if len(skipped) > _MAX_ENDINGS else ""
    files = "1 file" if skipped.total() == 1 else f"{skipped.total():,} files"
    return f", {files} left out ({', '.join(endings)}{more})"


def _mark_started(tasks: list[PhotoTask], journal: Journal) -> Iterator[PhotoTask]:
    """Yield the tasks; mark each in the journal before its files are replaced."""
    for task in tasks:
        journal.mark_stale(task.image)
        yield task


def _for_cluster(settings: BatchSettings) -> BatchSettings:
    """Return settings with the same meaning on every node, whatever this machine has."""
    if settings.device == "auto":
        return replace(settings, device="cpu")
    if settings.device.startswith("cuda") and settings.precision == "auto":
        raise ModelError(
            "--precision auto cannot be used with --ray and --device cuda, because nodes may "
            "differ: choose float32, bfloat16 or float16"
        )
    return settings


@contextlib.contextmanager
def _exclusive(out: Path) -> Iterator[None]:
    """Lock the folder against a second run, where the file system has locks."""
    path = out / f".{JOURNAL}.lock"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(FileLock(path, timeout=0))
        except Timeout:
            raise PixelwiseError(
                f"another run is writing to {str(out)!r}: wait until it ends"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
        with contextlib.suppress(OSError):  # Windows removes it on release
            path.unlink()
