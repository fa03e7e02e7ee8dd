// Keeps the page fresh: the stream says that something changed, and the part that shows it is fetched again.
(() => {
  const part = document.querySelector("[data-live]");
  if (!part) return;
  const lamp = document.getElementById("live");
  const word = document.getElementById("live-word");
  const announce = document.getElementById("announce");
  const PAUSE = 300; // ms between two looks, however much happens
  const AGAIN = 5000; // ms until the next try after a failure

  let source = null;
  let mark = part.dataset.mark;
  let lookedAt = 0;
  let looking = 0;
  let reopening = 0;
  let moving = 0;
  let states = readStates();

  function look(wait = 0) {
    if (looking) return;
    const due = Math.max(wait, lookedAt + PAUSE - Date.now(), 0);
    looking = setTimeout(() => {
      looking = 0;
      lookedAt = Date.now();
      htmx.trigger(part, "look", {}, false);
    }, due);
  }

  // The place in line moves on although nothing happens to the job itself.
  function followLine() {
    clearTimeout(moving);
    if (!part.querySelector("#waiting")) return;
    moving = setTimeout(() => (document.hidden ? followLine() : look()), AGAIN);
  }

  function show(state, text) {
    lamp.dataset.state = state;
    word.textContent = text;
  }

  function open() {
    close();
    source = new EventSource(part.dataset.live + (part.dataset.live.endsWith("?") ? "" : "&") + "after=" + mark);
    source.addEventListener("open", () => show("open", "Live"));
    source.addEventListener("changed", (event) => {
      mark = event.lastEventId;
      look();
    });
    source.addEventListener("error", () => {
      show("waiting", "Reconnecting");
      if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      // The server refused. Looking at the page's part leads to the sign-in page if the session has ended.
      look();
      reopening = setTimeout(open, AGAIN);
    });
  }

  function close() {
    clearTimeout(reopening);
    source?.close();
    source = null;
  }

  function readStates() {
    const rows = [...part.querySelectorAll("[data-status]")];
    return new Map(rows.map((row) => [row.id, row.dataset.status]));
  }

  // A tab that nobody sees holds no connection: browsers grant six to a server, over all its tabs.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => event.persisted && open());

  part.addEventListener("htmx:config:request", (event) => {
    const rows = part.querySelectorAll("[data-status]").length;
    if (event.target === part && part.id === "jobs") {
      event.detail.ctx.request.body.set("count", Math.max(rows, 1));
    } else if (event.target.matches("[data-more]") && rows >= part.dataset.longest) {
      // The page has as many rows as stay fresh: older jobs get a page of their own.
      event.preventDefault();
      location.href = event.target.href;
    }
  });
  // Who reads the end of a growing text goes on reading its end; who has scrolled up stays there.
  let following = true;
  part.addEventListener("htmx:before:swap", () => {
    const output = document.getElementById("output-text");
    following = !output || output.scrollTop + output.clientHeight >= output.scrollHeight - 4;
  });
  part.addEventListener("htmx:after:swap", () => {
    const output = document.getElementById("output-text");
    if (output && following) output.scrollTop = output.scrollHeight;
  });
  part.addEventListener("htmx:error", () => look(AGAIN));
  part.addEventListener("htmx:response:error", (event) => event.detail.ctx.response.status >= 500 && look(AGAIN));
  part.addEventListener("htmx:after:swap", () => {
    const now = readStates();
    const told = [];
    for (const [id, status] of now) {
      const before = states.get(id);
      if (!id || before === status) continue;
      const row = document.getElementById(id);
      if (before) {
        row.classList.add("fresh");
        told.push(`${row.querySelector("strong").textContent} is ${status}`);
      }
    }
    states = now;
    followLine();
    if (told.length) announce.textContent = told.slice(0, 3).join(", ");
  });
  document.addEventListener("submitted", () => look());

  followLine();
  if (!document.hidden) open();
})();
