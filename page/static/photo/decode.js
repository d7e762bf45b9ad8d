// What the browser itself can tell of a file: whether it may be a picture, and its pixels, upright.

const KINDS = /\.(jpe?g|jfif|png|webp|gif|bmp|avif|heic|heif|tiff?|dng|cr2|cr3|nef|arw|orf|rw2|raf)$/i;
const NO_PICTURE = /^(text|audio|video|font|message|model)\/|^application\/(?!octet-stream)/;

/** A file's name for a line of text. */
const shortName = (name) => (name.length <= 40 ? name : name.slice(0, 24) + "…" + name.slice(-15));

/**
 * Why a file need not be sent at all, in words; "" where the server shall look at it.
 * @param {File} file
 * @param {number} most megabytes that the page takes
 */
function refusalOf(file, most) {
  const name = shortName(file.name || "This file");
  if (file.type.startsWith("video/")) {
    return name + " is a film. The tab “Camera” takes short ones.";
  }
  if (NO_PICTURE.test(file.type) && !KINDS.test(file.name)) {
    return name + " is no picture. Take a JPEG, PNG, WebP or a photo from your phone.";
  }
  const size = file.size / 2 ** 20;
  if (size > most) {
    const said = size < most + 1 ? size.toFixed(1) : Math.round(size);
    return name + " is too large (" + said + " MB; at most " + most + "). Send a smaller copy.";
  }
  return "";
}

/**
 * A file's pixels as the server will see them: upright, over white. Throws where the browser
 * cannot show it (TIFF, HEIC, or no picture).
 * @param {Blob} file
 * @returns {Promise<ImageBitmap>}
 */
async function decodePhoto(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  if (file.type === "image/jpeg") return bitmap;
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.transferToImageBitmap();
}
