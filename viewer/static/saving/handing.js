// Handing a picture on: to the downloads, the clipboard, or whatever the device shares with.

/** Hand a file to the browser's downloads. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 30000);
}

/** A photo's name without its ending and without what a file's name may not hold. */
export function fileStem(name) {
  const stem = (name || "").replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N} ._-]+/gu, "_");
  return stem.trim().slice(0, 80) || "photo";
}

/** A canvas as a PNG blob. */
export function toPng(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error("The picture could not be written."))),
      "image/png",
    );
  });
}

/** Whether this browser lets a page copy pictures. */
export function canCopy() {
  return Boolean(navigator.clipboard?.write && window.ClipboardItem);
}

/** Copy a picture; the promise goes in as it is, as some browsers ask for it within the click. */
export function copyPicture(blob) {
  return navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
}

/** Whether this device can share picture files. */
export function canShare() {
  const probe = new File([""], "photo.png", { type: "image/png" });
  return Boolean(navigator.canShare?.({ files: [probe] }));
}

/** Share a picture; a person who changes their mind is no error. */
export async function sharePicture(blob, name) {
  try {
    await navigator.share({ files: [new File([blob], name, { type: "image/png" })] });
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}
