"""Compare two models: python compare.py http://127.0.0.1:7860 photo.jpg MODEL_A MODEL_B."""

import shutil
import sys

from gradio_client import Client, handle_file

address, photo, model_a, model_b = sys.argv[1:5]

client = Client(address, verbose=False)
agreement, labels_a, labels_b, facts = client.predict(
    handle_file(photo), model_a, model_b, api_name="/compare"
)

shutil.copy(agreement, "agreement.png")
print(f"they agree on {facts['agreement']:.1%} of the pixels")
for one in facts["classes"]:
    print(f"{one['name']} IoU {one['iou']:.3f}")
