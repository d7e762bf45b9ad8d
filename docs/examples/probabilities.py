"""Ask about a pixel: python probabilities.py http://127.0.0.1:7860 photo.jpg ROW COLUMN [model]."""

import sys

from gradio_client import Client, handle_file

address, photo, y, x = sys.argv[1:5]
model = sys.argv[5] if len(sys.argv) > 5 else ""

client = Client(address, verbose=False)
pixel = client.predict(handle_file(photo), model, int(y), int(x), api_name="/probabilities")

winner = pixel["winner"]
print(f"{winner['name']} {winner['probability']:.1%}")
print(f"margin {pixel['margin']:.3f}, entropy {pixel['entropy']:.3f} bits")
