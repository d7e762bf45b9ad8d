"""From a pixel's label back to why: what a network's parts did with a photo.

Everything here takes networks, tensors and arrays and returns arrays; nothing draws or serves.

`parts` takes a network apart, `aspp` is the microscope for its pyramid, `receptive` asks what a
pixel looks at, `features` what each stage holds, `evidence` turns logits into maps, `compare` and
`grade` set class maps side by side, `perturb` breaks photos on purpose, `heat` colours numbers.

What needs torch is imported when it is first used; see `segmentation`.
"""

from typing import TYPE_CHECKING

from segmentation.explain.errors import ExplainError
from segmentation.explain.grade import (
    EXTRA,
    IGNORE,
    MISSED,
    NEITHER,
    RIGHT,
    Grade,
    grade,
    verdicts,
)
from segmentation.explain.heat import HEAT, heat
from segmentation.explain.perturb import PERTURBATIONS, Perturbation
from segmentation.lazy import lazy_names

if TYPE_CHECKING:
    from segmentation.explain.aspp import (
        Aspp,
        Branch,
        Taps,
        ablated,
        aspp_of,
        cell_of,
        sampling_taps,
    )
    from segmentation.explain.compare import (
        SIZES,
        Overlap,
        Step,
        agreement,
        changed_pixels,
        disagreement,
        joint_classes,
        overlaps,
        sweep_sizes,
    )
    from segmentation.explain.evidence import (
        ClassScore,
        class_map_of,
        class_scores,
        entropy_map,
        probability_maps,
    )
    from segmentation.explain.features import (
        FeatureMap,
        Stage,
        feature_maps,
        recorded,
        stages_of,
        strongest_channels,
        three_components,
    )
    from segmentation.explain.parts import (
        Encoded,
        a_family,
        decode,
        encode,
        family,
        has_halves,
        has_skip,
        nominal_stride,
        with_logits,
        without_skip,
    )
    from segmentation.explain.receptive import (
        effective_receptive_field,
        energy_box,
        sample_at,
        scale_box,
        theoretical_receptive_field,
    )

__all__ = [
    "EXTRA",
    "HEAT",
    "IGNORE",
    "MISSED",
    "NEITHER",
    "PERTURBATIONS",
    "RIGHT",
    "SIZES",
    "Aspp",
    "Branch",
    "ClassScore",
    "Encoded",
    "ExplainError",
    "FeatureMap",
    "Grade",
    "Overlap",
    "Perturbation",
    "Stage",
    "Step",
    "Taps",
    "a_family",
    "ablated",
    "agreement",
    "aspp_of",
    "cell_of",
    "changed_pixels",
    "class_map_of",
    "class_scores",
    "decode",
    "disagreement",
    "effective_receptive_field",
    "encode",
    "energy_box",
    "entropy_map",
    "family",
    "feature_maps",
    "grade",
    "has_halves",
    "has_skip",
    "heat",
    "joint_classes",
    "nominal_stride",
    "overlaps",
    "probability_maps",
    "recorded",
    "sample_at",
    "sampling_taps",
    "scale_box",
    "stages_of",
    "strongest_channels",
    "sweep_sizes",
    "theoretical_receptive_field",
    "three_components",
    "verdicts",
    "with_logits",
    "without_skip",
]

_HOMES = {
    "aspp": "Aspp Branch Taps ablated aspp_of cell_of sampling_taps",
    "compare": (
        "SIZES Overlap Step agreement changed_pixels disagreement joint_classes overlaps "
        "sweep_sizes"
    ),
    "evidence": "ClassScore class_map_of class_scores entropy_map probability_maps",
    "features": (
        "FeatureMap Stage feature_maps recorded stages_of strongest_channels three_components"
    ),
    "parts": (
        "Encoded a_family decode encode family has_halves has_skip nominal_stride with_logits "
        "without_skip"
    ),
    "receptive": (
        "effective_receptive_field energy_box sample_at scale_box theoretical_receptive_field"
    ),
}
__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
