// Ask about a pixel: node probabilities.mjs http://127.0.0.1:7860 photo.jpg ROW COLUMN [model]
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { Client } from "@gradio/client";

const [address, photo, y, x, model = ""] = process.argv.slice(2);

const client = await Client.connect(address);
const file = new File([await readFile(photo)], basename(photo));
const { data } = await client.predict("/probabilities", [file, model, Number(y), Number(x)]);
const [{ winner, margin, entropy }] = data;

console.log(`${winner.name} ${(100 * winner.probability).toFixed(1)}%`);
console.log(`margin ${margin.toFixed(3)}, entropy ${entropy.toFixed(3)} bits`);
process.exit(); // the client keeps a connection open
