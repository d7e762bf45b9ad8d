"""Label a photo: python segment.py http://127.0.0.1:7860 photo.jpg [model]."""

import shutil
import sys

from gradio_client import Client, handle_file

address, photo = sys.argv[1:3]
model = sys.argv[3] if len(sys.argv) > 3 else ""

client = Client(address, verbose=False)
labels, overlay, facts = client.predict(handle_file(photo), model, api_name="/segment")

shutil.copy(labels, "labels.png")
shutil.copy(overlay, "overlay.png")
for one in facts["classes"]:
    print(f"{one['name']} {one['fraction']:.1%}")
