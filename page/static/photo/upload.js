// Sends a file to the page's server as it is, and says how far it is.

class NoConnection extends Error {}

/**
 * @param {File} file
 * @param {(fraction: number) => void} told
 * @param {AbortSignal} signal
 * @returns {Promise<string>} the file's path on the server
 */
function sendFile(file, told, signal) {
  const form = new FormData();
  form.append("files", file, file.name || "photo");
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", location.pathname.replace(/[/]?$/, "/") + "gradio_api/upload");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) told(event.loaded / event.total);
    });
    request.addEventListener("error", () => reject(new NoConnection()));
    request.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    request.addEventListener("load", () => {
      let answer = null;
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // said below
      }
      if (request.status === 200 && Array.isArray(answer)) resolve(answer[0]);
      else reject(new Error(answer?.detail || answer?.error || "The photo did not arrive. Try again."));
    });
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}
