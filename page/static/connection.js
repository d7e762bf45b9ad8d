/**
 * Keeps the page alive while its server is away. Calls wait until it answers again, so that Gradio
 * does not give up and load the page anew; what was under way is said to have failed, and the photo
 * is sent once more by its input. Runs once, when the page has loaded.
 */
() => {
  const PING_MS = 10_000;
  const AWAY_PING_MS = 1_500;
  const AWAY = "No connection. What you see still works; new photos wait until it is back.";
  const BACK = "Connected again.";
  const plain = window.fetch.bind(window);
  const base = location.origin + location.pathname.replace(/[/]?$/, "/");
  const api = base + "gradio_api/";
  const banner = document.createElement("div");
  banner.id = "pw-banner";
  banner.setAttribute("role", "status");
  banner.hidden = true;
  document.body.append(banner);

  let away = false;
  let waiting = []; // those who go on when the server is back
  let timer = 0;
  const running = new Set(); // Gradio's names of the calls whose answer is still to come

  const say = (text) => {
    banner.textContent = text;
    banner.hidden = !text;
  };
  const schedule = () => {
    clearTimeout(timer);
    timer = setTimeout(ping, away ? AWAY_PING_MS : PING_MS);
  };
  const setAway = () => {
    if (away) return;
    away = true;
    document.body.classList.add("pw-away");
    say(AWAY);
    document.dispatchEvent(new CustomEvent("pixelwise:lost"));
    schedule();
  };
  const setBack = () => {
    if (!away) return;
    away = false;
    document.body.classList.remove("pw-away");
    say(BACK);
    setTimeout(() => away || say(""), 4000);
    waiting.splice(0).forEach((go) => go());
    document.dispatchEvent(new CustomEvent("pixelwise:back"));
  };
  async function ping() {
    if (away || document.visibilityState === "visible") {
      try {
        const answer = await plain(api + "app_id", {
          cache: "no-store",
          signal: AbortSignal.timeout(5000),
        });
        if (answer.status < 500) setBack();
        else setAway();
      } catch {
        setAway();
      }
    }
    schedule();
  }
  const untilBack = () => new Promise((go) => (away ? waiting.push(go) : go()));

  const failed = (id) =>
    JSON.stringify({
      msg: "process_completed",
      event_id: id,
      output: { error: null, visible: false },
      success: false,
    });

  /** The stream of answers; where it breaks, the calls in it end instead of the whole page. */
  function mended(answer) {
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    const encoder = new TextEncoder();
    let line = "";
    const notice = (bytes) => {
      line += decoder.decode(bytes, { stream: true });
      const lines = line.split("\n");
      line = lines.pop();
      for (const one of lines) {
        if (!one.includes('"process_completed"')) continue;
        running.delete(/"event_id":\s*"([^"]+)"/.exec(one)?.[1]);
      }
    };
    const end = (controller) => {
      const messages = [...running].map(failed).concat('{"msg":"close_stream"}');
      running.clear();
      controller.enqueue(encoder.encode(messages.map((one) => "data: " + one + "\n\n").join("")));
      controller.close();
    };
    const body = new ReadableStream({
      async pull(controller) {
        try {
          const { value, done } = await reader.read();
          if (!done) {
            notice(value);
            controller.enqueue(value);
          } else if (running.size) {
            setAway();
            end(controller);
          } else {
            controller.close();
          }
        } catch (error) {
          if (error?.name === "AbortError") {
            controller.error(error);
            return;
          }
          setAway();
          end(controller);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    });
    return new Response(body, { status: answer.status, headers: answer.headers });
  }

  window.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input, location.href).href;
    if (!url.startsWith(api)) return plain(input, init);
    const call = url.slice(api.length).split("?")[0];
    const holds = call.startsWith("queue/") || call.startsWith("run/");
    if (!holds) return plain(input, init);
    for (;;) {
      await untilBack();
      let answer;
      try {
        answer = await plain(input instanceof Request ? input.clone() : input, init);
      } catch (error) {
        if (error?.name === "AbortError") throw error;
        setAway();
        continue;
      }
      if (call === "queue/join" && answer.ok) {
        const told = await answer.clone().json().catch(() => null);
        if (told?.event_id) running.add(told.event_id);
      }
      return call === "queue/data" && answer.ok && answer.body ? mended(answer) : answer;
    }
  };
  window.addEventListener("offline", ping);
  window.addEventListener("online", ping);
  // Somebody did not reach the server: it is away, or that was one moment, and they try again.
  document.addEventListener("pixelwise:lost", async () => {
    if (away) return;
    await ping();
    if (!away) setTimeout(() => document.dispatchEvent(new CustomEvent("pixelwise:back")), 1000);
  });
  schedule();
}
