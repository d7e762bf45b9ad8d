// Hands the server's answer about a pinned pixel to the viewer, and shows nothing itself.

const tellViewer = () =>
  document.dispatchEvent(new CustomEvent("pixelwise-pixel", { detail: props.value }));
watch("value", tellViewer);
