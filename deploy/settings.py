"""What can be set of a deployment: the page's options, and what the replicas are."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from page.options import Options, options_from
from page.options import parser as page_parser
from segmentation.argument_types import bounded_float, bounded_int

EMBEDDED = "embedded"
GPU_BATCH = 8
GPU_BATCH_WAIT = 0.01
DEFAULT_PORT = 8000


@dataclass(frozen=True)
class Settings:
    """A deployment.

    Attributes:
        page: the page's settings; its model, device, weights, precision and compile are those of
            the replicas.
        also: further models that every replica has.
        replicas: how many there are at least.
        max_replicas: how many there are at most; Serve starts and stops them by what is under way.
        cpus: cores of each replica.
        gpus: of each replica; a fraction lets several share one.
        page_cpus: cores of the page, which decodes photos and makes pictures.
        batch: photos that a replica shows the network together at most.
        batch_wait: seconds that a replica waits for the others of a batch.
        surge: more replicas in percent that a rolling update may start before old ones end.
        wait_loading: seconds that the page waits for its first replica.
    """

    page: Options
    also: tuple[str, ...] = ()
    replicas: int = 1
    max_replicas: int = 4
    cpus: float = 1.0
    gpus: float = 0.0
    page_cpus: float = 1.0
    batch: int = 1
    batch_wait: float = 0.0
    surge: int = 0
    wait_loading: float = 600.0

    @property
    def per_replica(self) -> int:
        """Photos that a replica may have: one batch at work and one on its way."""
        return 2 * self.batch

    @property
    def width(self) -> int:
        """Photos at work at once; so many that Serve sees when more replicas are needed."""
        return self.per_replica * self.max_replicas

    @property
    def device(self) -> str:
        """Where a replica computes: on the CPU, unless it has a GPU or another device is named."""
        if self.page.device != "auto":
            return self.page.device
        return "cuda" if self.gpus else "cpu"

    @property
    def models(self) -> tuple[str, ...]:
        """What every replica has, the page's first choice first.

        Where none is named, the device's default if its weights are on the machine that asks, else
        the built-in model: all replicas must have the same, so none may find out for itself.
        """
        from segmentation import default_model, has_embedded
        from segmentation.models.registry import find_local_weights

        first = self.page.model
        if first is None:
            first = default_model(self.device)
            if find_local_weights(first) is None and not self.page.weights and has_embedded():
                first = EMBEDDED
        built_in = (EMBEDDED,) if has_embedded() else ()
        return tuple(dict.fromkeys((first, *self.also, *built_in)))


def parser() -> argparse.ArgumentParser:
    """The command line: the page's, and what a deployment has besides."""
    parse = page_parser()
    parse.prog = "python -m deploy.ray_serve"
    parse.description = "The page on many machines: one ingress, and replicas of the network."
    parse.epilog = None
    add = parse.add_argument_group("the replicas").add_argument
    default = Settings(Options())
    add("--also", action="append", metavar="NAME", help="another model that every replica has")
    add(
        "--replicas",
        type=bounded_int(1, 10_000),
        metavar="N",
        help=f"at least (default: {default.replicas})",
    )
    add(
        "--max-replicas",
        type=bounded_int(1, 10_000),
        metavar="N",
        help=f"at most; Serve starts and stops them by need (default: {default.max_replicas})",
    )
    add(
        "--cpus",
        type=bounded_float(0, 10_000, bounds="from 0"),
        metavar="N",
        help=f"cores of each (default: {default.cpus:g})",
    )
    add(
        "--gpus",
        type=bounded_float(0, 10_000, bounds="from 0"),
        metavar="N",
        help="GPUs of each, 0.5 for two on one (default: 0)",
    )
    add(
        "--page-cpus",
        type=bounded_float(0, 10_000, bounds="from 0"),
        metavar="N",
        help="cores of the page (default: 1)",
    )
    add(
        "--batch",
        type=bounded_int(1, 10_000),
        metavar="N",
        help=f"photos that a replica labels together (default: 1, on a GPU {GPU_BATCH})",
    )
    add(
        "--batch-wait",
        type=bounded_float(0, 10_000, bounds="from 0"),
        metavar="S",
        help=f"seconds to wait for them (default: 0, on a GPU {GPU_BATCH_WAIT:g})",
    )
    add(
        "--surge",
        type=int,
        choices=range(101),
        metavar="PERCENT",
        help="more replicas that an update may start before old ones end; needs free machines "
        "(default: 0)",
    )
    return parse


def parse_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Read the command line; None reads `sys.argv`. Exits with status 2 where a word is wrong."""
    parse = parser()
    given = {k: v for k, v in vars(parse.parse_args(arguments)).items() if v is not None}
    if given.get("share"):
        parse.error("--share: Gradio's relay is for the page on one machine (python app.py)")
    ours = {k: given.pop(k) for k in list(given) if k in Settings.__dataclass_fields__}
    if "also" in ours:
        ours["also"] = tuple(ours["also"])
    made = Settings(page=replace(options_from(given), share=False), **ours)
    if made.gpus:
        made = replace(
            made,
            batch=ours.get("batch", GPU_BATCH),
            batch_wait=ours.get("batch_wait", GPU_BATCH_WAIT),
        )
    return replace(made, max_replicas=max(made.replicas, made.max_replicas))


def words_of(values: Mapping[str, Any]) -> list[str]:
    """A YAML file's `args` as words of the command line, so that both are checked alike.

    Args:
        values: an option's name, with `_` or `-`, to its value; a list gives it several times,
            true alone, false or null not at all.
    """
    words: list[str] = []
    for name, value in values.items():
        option = "--" + str(name).replace("_", "-")
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is True:
                words.append(option)
            elif one is not False and one is not None:
                words += [option, str(one)]
    return words
