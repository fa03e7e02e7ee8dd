// Times in the reader's own zone: the server writes them in UTC, for readers without scripts.
(() => {
  const today = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
  const other = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

  function localise(root) {
    const now = new Date().toDateString();
    for (const element of root.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      element.title = at.toISOString();
      element.textContent = (at.toDateString() === now ? today : other).format(at);
    }
  }

  localise(document);
  // Before a swap, so that an unchanged time is the same text on both sides and nothing flickers.
  document.addEventListener("htmx:before:swap", (event) => {
    for (const task of event.detail.tasks) localise(task.fragment);
  });
})();
