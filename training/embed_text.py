"""What the embedded model's card says in words."""

from typing import Any

SOURCE = "trained from random weights by this project's own recipe (training/)"

LICENSE = (
    "Learnt from photos of PASCAL VOC 2012, COCO and Flickr8k (Flickr's terms), the NIPS 2017 "
    "adversarial set (CC BY 2.0), Caltech-101, ImageNet, CamVid, PACS and Weizmann horses (for "
    "research). No photo is in the weights; read those terms before selling anything with them."
)

WEAK = 0.2


def known_failures(figures: dict[str, Any]) -> list[str]:
    """What the figures say that the model is bad at.

    Args:
        figures: As `training.evaluate.figures` gives them, with "size".
    """
    classes = figures["classes"]
    weak = [name for name, row in classes.items() if row["iou"] < WEAK]
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
    if weak:
        failures.append(
            f"Hardly finds {', '.join(weak)} (IoU below {WEAK} on the few validation photos)."
        )
    return failures


def describe_model(card: dict[str, Any]) -> str:
    """The card as a page of Markdown."""
    numbers, trained = card["figures"], card["trained"]
    rows = "\n".join(
        f"| {name} | {row['iou']:.3f} | {row['photos']} |"
        for name, row in numbers["classes"].items()
    )
    megabytes = card["bytes"] / 1e6
    failures = "\n".join(f"- {failure}" for failure in card["known_failures"])
    note = f"\n{trained['note']}\n" if trained.get("note") else ""
    hints = ""
    if trained["recipe"].get("hint"):
        hints = " The teacher's features were targets too (FitNets, arXiv 1412.6550)."
    miou_7 = f"mean IoU of seven classes {numbers['miou_7']:.3f}, " if "miou_7" in numbers else ""
    return f"""# The embedded model

`{card["network"]}`, {card["parameters"]:,} parameters, half precision, {megabytes:.1f} MB.
`python -m training.embed` wrote this page, `embedded.pth` and its card `embedded.json`.

**How good it is**, on {numbers["photos"]} validation photos, shorter side {numbers["size"]} px:
{miou_7}pixel accuracy {numbers["pixel_accuracy"]:.3f},
mean IoU of all the classes shown {numbers["miou"]:.3f}.
The seven classes are background, cat, cow, dog, horse, person and sheep.

| class | IoU | photos |
|---|---|---|
{rows}

The same figures again: `python -m training.evaluate --data ../shared/photos/val --model embedded`

## Known failures

{failures}

## How it was made

From random weights: none of any published network is in it. {trained["samples"]:,} views,
{trained["steps"]:,} steps, {trained["minutes"]} minutes, commit {trained["commit"] or "unknown"}.
Ground truth where there is one, mixed with the probabilities of the teacher; elsewhere the
teacher's alone.{hints}
{note}
```
{trained["command"]}
```

To go on from it, add `--init embedded`.

## Data and licence

{card["license"]}
"""
