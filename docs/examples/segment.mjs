// Label a photo: node segment.mjs http://127.0.0.1:7860 photo.jpg [model]
import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { Client } from "@gradio/client";

const [address, photo, model = ""] = process.argv.slice(2);

const client = await Client.connect(address);
const file = new File([await readFile(photo)], basename(photo));
const { data } = await client.predict("/segment", [file, model]);
const [labels, overlay, facts] = data;

for (const [name, { url }] of Object.entries({ labels, overlay })) {
  const answer = await fetch(url);
  await writeFile(`${name}.png`, Buffer.from(await answer.arrayBuffer()));
}
for (const { name, fraction } of facts.classes) {
  console.log(`${name} ${(100 * fraction).toFixed(1)}%`);
}
process.exit(); // the client keeps a connection open
