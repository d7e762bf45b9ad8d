"""Settings of a deployment: the page's options, and the number and the hardware of replicas."""

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
        page: the page's settings; its model, device, weights, precision and compile are used by the
            replicas.
        extra_models: more models that every replica loads.
        replicas: minimum number of replicas.
        max_replicas: maximum; Serve starts and stops replicas by the number of running requests.
        cpus: cores of each replica.
        gpus: of each replica; a fraction lets several share one.
        page_cpus: cores of the page, which decodes photos and encodes results.
        batch: maximum number of photos in a batch.
        batch_wait: seconds that a replica waits for a batch to fill.
        surge: extra replicas, in percent, that a rolling update may start before old ones end.
        wait_loading: seconds that the page waits for the first replica.
    """

    page: Options
    extra_models: tuple[str, ...] = ()
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
        """Maximum number of requests of a replica: a running batch and the next one."""
        return 2 * self.batch

    @property
    def width(self) -> int:
        """Maximum number of photos that the page sends at once.

        It is enough for all replicas, so that Serve sees when more replicas are needed.
        """
        return self.per_replica * self.max_replicas

    @property
    def device(self) -> str:
        """The replicas' device: the CPU, unless they have a GPU or another device is named."""
        if self.page.device != "auto":
            return self.page.device
        return "cuda" if self.gpus else "cpu"

    @property
    def models(self) -> tuple[str, ...]:
        """The models of every replica, the default first.

        If none is named, the first is the device's default if its weights are on this machine, else
        the built-in model. It is decided once, because all replicas must have the same models.
        """
        from segmentation import default_model, has_embedded
        from segmentation.models.registry import find_local_weights

        first = self.page.model
        if first is None:
            first = default_model(self.device)
            if find_local_weights(first) is None and not self.page.weights and has_embedded():
                first = EMBEDDED
        built_in = (EMBEDDED,) if has_embedded() else ()
        return tuple(dict.fromkeys((first, *self.extra_models, *built_in)))


def parser() -> argparse.ArgumentParser:
    """Return the command line: the page's options and those of a deployment."""
    parse = page_parser()
    parse.prog = "python -m deploy.ray_serve"
    parse.description = "Serve the page on many machines: one ingress, and replicas of the network."
    parse.epilog = None
    add = parse.add_argument_group("the replicas").add_argument
    default = Settings(Options())
    count: dict[str, Any] = {"type": bounded_int(1, 10_000), "metavar": "N"}
    amount: dict[str, Any] = {"type": bounded_float(0, 10_000, bounds="from 0"), "metavar": "N"}
    extra: dict[str, Any] = {"action": "append", "dest": "extra_models"}
    add("--extra-model", metavar="NAME", help="another model that every replica loads", **extra)
    add("--also", help=argparse.SUPPRESS, **extra)  # its old name
    add("--replicas", help=f"minimum number (default: {default.replicas})", **count)
    add(
        "--max-replicas",
        help=f"maximum; Serve starts and stops them on demand (default: {default.max_replicas})",
        **count,
    )
    add("--cpus", help=f"cores of each (default: {default.cpus:g})", **amount)
    add("--gpus", help="GPUs of each, 0.5 for two on one (default: 0)", **amount)
    add("--page-cpus", help="cores of the page (default: 1)", **amount)
    add("--batch", help=f"photos in a batch at most (default: 1, on a GPU {GPU_BATCH})", **count)
    add(
        "--batch-wait",
        help=f"seconds to wait for a batch to fill (default: 0, on a GPU {GPU_BATCH_WAIT:g})",
        **amount | {"metavar": "S"},
    )
    add(
        "--surge",
        type=int,
        choices=range(101),
        metavar="PERCENT",
        help="extra replicas that an update may start before old ones end; needs free machines "
        "(default: 0)",
    )
    return parse


def parse_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Parse the command line; None reads `sys.argv`. Exits with status 2 on a wrong option."""
    parse = parser()
    given = {k: v for k, v in vars(parse.parse_args(arguments)).items() if v is not None}
    if given.get("share"):
        parse.error("--share: Gradio's relay is for the page on one machine (python app.py)")
    ours = {k: given.pop(k) for k in list(given) if k in Settings.__dataclass_fields__}
    ours["extra_models"] = tuple(ours.get("extra_models", ()))
    if ours.get("gpus"):
        ours = {"batch": GPU_BATCH, "batch_wait": GPU_BATCH_WAIT, **ours}
    settings = Settings(page=replace(options_from(given), share=False), **ours)
    return replace(settings, max_replicas=max(settings.replicas, settings.max_replicas))


def arguments_from(values: Mapping[str, Any]) -> list[str]:
    """Return a YAML file's `args` as command-line arguments, so that both are checked alike.

    Args:
        values: an option's name, with `_` or `-`, to its value. A list repeats the option, true
            gives it without a value, false or null omits it.
    """
    arguments: list[str] = []
    for name, value in values.items():
        option = "--" + str(name).replace("_", "-")
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is True:
                arguments.append(option)
            elif item is not False and item is not None:
                arguments += [option, str(item)]
    return arguments
