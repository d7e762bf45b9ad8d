// Messages for a camera that cannot be used, with the remedy.

const MESSAGES = {
  NotAllowedError:
    "This page may not use the camera. Allow it: click the camera or the lock in the address bar " +
    "(on a phone, the page’s settings), then start again. If your system asks as well, allow it " +
    "there.",
  NotFoundError: "There is no camera on this device. Connect one, then start again.",
  NotReadableError:
    "The camera does not answer: another program may be using it. Close that program, or unplug " +
    "the camera and plug it in again, then start again.",
  OverconstrainedError:
    "That camera is not there any more. Start again to take the one that is.",
  AbortError: "The camera was interrupted while it started. Start again.",
};
MESSAGES.SecurityError = MESSAGES.NotAllowedError;
MESSAGES.DevicesNotFoundError = MESSAGES.NotFoundError;

export const UNPLUGGED =
  "The camera has gone: it was unplugged or switched off. Connect it, then start again.";
export const HIDDEN = "Stopped, because the page was out of sight. Go on when you are back.";
export const LOST =
  "The page does not reach its server any more. Check the connection, then start again.";

/**
 * Return why the browser offers no camera at all, or "" if it does.
 * @param {{secure: boolean, has: boolean, host: string}} support isSecureContext, whether
 *   navigator.mediaDevices.getUserMedia exists, and the page's host
 */
export function missingCamera({ secure, has, host }) {
  if (has) return "";
  if (!secure) {
    return (
      "The browser gives a camera only to pages with https, or on the machine itself. Open this " +
      "page as https://" + host + ", or on its own machine as http://localhost."
    );
  }
  return (
    "This browser offers no camera to web pages. Take a current Firefox, Chrome, Edge or Safari."
  );
}

/** Return the message for an error of getUserMedia. */
export function refusal(error) {
  return (
    MESSAGES[error?.name] ||
    "The camera could not be started (" +
      (error?.message || error?.name || "no reason given") +
      ")."
  );
}
