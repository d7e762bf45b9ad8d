"""Write the embedded model's card as a page of Markdown."""

from typing import Any

from segmentation.categories import plural_name
from segmentation.models.card_figures import parse_figures
from segmentation.models.knowledge import (
    GOOD_IOU,
    LEAST_PHOTOS,
    WEAK_IOU,
    calibration_sentence,
    hardly_knows,
    in_words,
    knowledge_sentence,
)

SOURCE = "trained from random weights by this project's own recipe (training/)"

LICENSE = (
    "Learnt from photos of PASCAL VOC 2012, COCO and Flickr8k (Flickr's terms), the NIPS 2017 "
    "adversarial set (CC BY 2.0), Caltech-101, ImageNet, CamVid, PACS, Weizmann horses and others "
    "(for research), and from the answers of two published networks (Apache License 2.0). No photo "
    "is in the weights; read those terms before selling anything with them."
)


def known_failures(figures: dict[str, Any]) -> list[str]:
    """List the weaknesses that the figures show.

    Args:
        figures: The result of `training.evaluate.examine`, with "size".
    """
    classes = figures["classes"]
    parsed = parse_figures({"data": "photos", **figures}, tuple(classes))
    animals = [name for name in ("cat", "cow", "dog", "horse", "sheep") if name in classes]
    worst = sorted(animals, key=lambda name: classes[name]["iou"])[:2]
    failures = [
        f"Sees photos at {figures['size']} px only: thin and small things are lost, outlines soft.",
    ]
    if worst:
        failures.append(
            "Takes one four-legged animal for another; of them "
            + " and ".join(f"{name} (IoU {classes[name]['iou']:.2f})" for name in worst)
            + " come out worst."
        )
    weak = hardly_knows(parsed)
    if weak:
        failures.append(
            f"Hardly finds {in_words([plural_name(name) for name in weak])} (IoU below "
            f"{WEAK_IOU:g}), above all where they are small."
        )
    few = [name for name, row in classes.items() if row["photos"] < LEAST_PHOTOS]
    if few:
        failures.append(
            f"Of {in_words([plural_name(name) for name in few])} too little is known: fewer than "
            f"{LEAST_PHOTOS} photos show them."
        )
    return failures


def describe_model(card: dict[str, Any]) -> str:
    """Return the card as a page of Markdown."""
    numbers = card["figures"]
    parsed = parse_figures(numbers, tuple(card["categories"]))
    rows = "\n".join(
        f"| {name} | {row['iou']:.3f} | {row['photos']} |"
        for name, row in numbers["classes"].items()
    )
    failures = "\n".join(f"- {failure}" for failure in card["known_failures"])
    megabytes = card["bytes"] / 1e6
    rule = f"IoU above {GOOD_IOU:g} or below {WEAK_IOU:g}, on at least {LEAST_PHOTOS} photos"
    command = "python -m training.evaluate --model embedded --data " + " ".join(
        f"../shared/photos/{name}" for name in numbers["folders"]
    )
    return f"""# The embedded model

`{card["network"]}`, {card["parameters"]:,} parameters, half precision, {megabytes:.1f} MB.
`python -m training.embed` wrote this page, `embedded.pth` and its card `embedded.json`.

## How good it is

{knowledge_sentence(parsed)}
({rule}.)

On {parsed.measured_on} (shorter side), at the full size of the ground truth:

| figure | value |
|---|---|
{_summary_rows(numbers)}

| class | IoU | photos |
|---|---|---|
{rows}

{_sharper(card)}To repeat these figures: `{command}`

{_confidence(numbers, calibration_sentence(parsed))}
## Known failures

{failures}

## How it was made

It was trained from random weights and contains no weights of a published network. Each stage began
with the weights of the stage before, unless stated otherwise.

{_stages(card["trained"]["stages"])}

To continue training from it, add `--init embedded` to `python -m training.train`.

## Data and licence

{card["license"]}
"""


def _sharper(card: dict[str, Any]) -> str:
    """Return the gain of averaging several sizes as a section; empty if it was not measured."""
    if "sharper" not in card:
        return ""
    sizes = " and ".join(map(str, card["sharper"]["size"]))
    return f"""With `--sharper` (probabilities at {sizes} px averaged), on the same photos:

| figure | value |
|---|---|
{_summary_rows(card["sharper"])}

"""


def _summary_rows(numbers: dict[str, Any]) -> str:
    rows = []
    if numbers["miou"] is not None:
        rows.append((f"mean IoU over all {len(numbers['classes'])} classes", numbers["miou"]))
    else:
        rows.append((f"mean IoU over the {len(numbers['classes'])} shown", numbers["miou_shown"]))
    if "miou_7" in numbers:
        seven = "mean IoU over background, cat, cow, dog, horse, person and sheep"
        rows.append((seven, numbers["miou_7"]))
    rows.append(("pixel accuracy", numbers["pixel_accuracy"]))
    if numbers["outline_accuracy"] is not None:
        name = f"accuracy within {numbers['outline_pixels']} px of a true outline"
        rows.append((name, numbers["outline_accuracy"]))
    return "\n".join(f"| {name} | {value:.3f} |" for name, value in rows)


def _confidence(numbers: dict[str, Any], sentence: str) -> str:
    """Return the calibration as a section; empty if it was not measured."""
    if "calibration" not in numbers:
        return ""
    error = numbers["calibration"]
    lines = [
        "## How sure it is",
        "",
        f"{sentence} The expected calibration error is {error['ece']:.3f} (15 bins); dividing the",
        f"logits by {error['temperature']:.2f} would make it {error['ece_scaled']:.3f}.",
        "The page shows the plain softmax.",
        "",
    ]
    if "sets" in numbers:
        lines += [*_sets(numbers["sets"]), ""]
    return "\n".join(lines)


def _sets(sets: dict[str, Any]) -> list[str]:
    """Return the figures of the prediction sets as lines of Markdown."""
    several = sum(share for size, share in sets["sizes"].items() if size != "1")
    return [
        f"A pixel's set contains the classes with a probability of {sets['threshold']:.3f} or "
        "more.",
        f"The threshold was chosen on a random {sets['photos'][0]} of the photos, so that "
        f"{100 * sets['level']:.0f} % of the",
        f"sets contain the true class. On the other {sets['photos'][1]} photos "
        f"{100 * sets['coverage']:.1f} % do. Of the pixels of those",
        f"photos {100 * several:.0f} % have a set of two classes or more: the page marks them as "
        "unsure.",
        f"Their label is right in {100 * _several_accuracy(sets):.0f} % of the cases, that of the "
        f"others in {100 * sets['accuracy'].get('1', 0.0):.0f} %.",
    ]


def _several_accuracy(sets: dict[str, Any]) -> float:
    """Return the accuracy of the pixels whose set has two classes or more."""
    rows = [(share, sets["accuracy"][size]) for size, share in sets["sizes"].items() if size != "1"]
    total = sum(share for share, _ in rows)
    return sum(share * accuracy for share, accuracy in rows) / total if total else 0.0


def _stages(stages: list[dict[str, Any]]) -> str:
    """Return the history as a numbered list."""
    items = []
    for number, stage in enumerate(stages, start=1):
        facts = [f"began from {stage['from']}"] if stage.get("from") else []
        for key, unit in (("views", "views"), ("steps", "steps"), ("minutes", "minutes")):
            if key in stage:
                facts.append(f"{stage[key]:,} {unit}")
        facts += [stage["machine"]] if stage.get("machine") else []
        facts += [f"commit {stage['commit']}"] if stage.get("commit") else []
        text = f"{number}. {stage['what']}"
        text += f" ({'; '.join(facts)}.)" if facts else ""
        for key in ("photos", "teachers"):
            if stage.get(key):
                text += f"\n   {key.capitalize()}: {', '.join(stage[key])}."
        text += f"\n   {stage['note']}" if stage.get("note") else ""
        text += f"\n\n   ```\n   {stage['command']}\n   ```" if stage.get("command") else ""
        items.append(text)
    return "\n".join(items)
