// The save menu: which file, and to where.

import { listenToMenu } from "../label_viewer/controls.js";
import { makeFile } from "./export.js";
import { canCopy, copyPicture, download } from "./handing.js";

/**
 * Listen to the save menu.
 * @param {HTMLElement} menu
 * @param {{result: () => object | null, done: (text: string) => void,
 *   failed: (text: string) => void}} act result: what makeFile takes, or null
 */
export function listenToSaving(menu, act) {
  menu.querySelector("[data-save=copy]").hidden = !canCopy();
  listenToMenu(menu, async (what) => {
    const result = act.result();
    if (!result) return;
    try {
      if (what === "copy") {
        await copyPicture(makeFile("picture", result).then(({ blob }) => blob));
        act.done("Copied.");
      } else {
        const { blob, name } = await makeFile(what, result);
        download(blob, name);
      }
    } catch (error) {
      act.failed(error.message);
    }
  });
}
