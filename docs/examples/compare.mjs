// Compare two models: node compare.mjs http://127.0.0.1:7860 photo.jpg MODEL_A MODEL_B
import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { Client } from "@gradio/client";

const [address, photo, modelA, modelB] = process.argv.slice(2);

const client = await Client.connect(address);
const file = new File([await readFile(photo)], basename(photo));
const { data } = await client.predict("/compare", [file, modelA, modelB]);
const [agreement, labelsA, labelsB, facts] = data;

const answer = await fetch(agreement.url);
await writeFile("agreement.png", Buffer.from(await answer.arrayBuffer()));
console.log(`they agree on ${(100 * facts.agreement).toFixed(1)}% of the pixels`);
for (const { name, iou } of facts.classes) {
  console.log(`${name} IoU ${iou.toFixed(3)}`);
}
process.exit(); // the client keeps a connection open
