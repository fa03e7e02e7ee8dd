// The submit form: sends the files with a progress bar, which fetch can't, and starts over when they are stored.
(() => {
  const form = document.getElementById("submit");
  if (!form) return;
  const bar = document.getElementById("sent");
  const notice = document.getElementById("notice");

  function send(address, request) {
    return new Promise((resolve, reject) => {
      const sending = new XMLHttpRequest();
      sending.open(request.method, address);
      for (const [name, value] of Object.entries(request.headers)) sending.setRequestHeader(name, value);
      sending.upload.addEventListener("progress", (event) => {
        bar.value = event.total ? event.loaded / event.total : 0;
      });
      sending.addEventListener("load", () => {
        const headers = new Headers();
        for (const line of sending.getAllResponseHeaders().trim().split(/\r?\n/)) {
          const colon = line.indexOf(":");
          headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
        }
        resolve(new Response(sending.responseText, { status: sending.status, headers }));
      });
      sending.addEventListener("error", () => reject(new TypeError("the connection broke")));
      sending.send(request.body);
    });
  }

  const chosen = document.getElementById("processor");

  // What is wrong with a field stands beside it, and the field says so to those who don't see it.
  function mark() {
    let first = null;
    for (const error of form.querySelectorAll(".field-error")) {
      const input = document.getElementById(error.id.replace(/-error$/, ""));
      if (flag(input, error.textContent.trim())) first ??= input;
    }
    first?.focus();
  }

  function flag(input, words) {
    if (words) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    return words !== "";
  }

  function clear() {
    for (const error of form.querySelectorAll(".field-error")) error.replaceChildren();
    mark();
  }

  // A file that is too large is refused here: the server would break off in the middle of it.
  function fits(input) {
    const file = input.files[0];
    const largest = Number(input.dataset.largest);
    const error = document.getElementById(`${input.id}-error`);
    const words = file && file.size > largest
      ? `This file has ${file.size.toLocaleString("en")} bytes; at most ${largest.toLocaleString("en")} are taken.`
      : "";
    error.textContent = words;
    input.setCustomValidity(words);
    flag(input, words);
  }

  form.addEventListener("change", (event) => event.target.type === "file" && fits(event.target));

  // A browser that comes back to the page may remember another choice than the fields are for.
  window.addEventListener("pageshow", () => {
    if (chosen.value !== form.elements.namedItem("fields_of").value) htmx.trigger(chosen, "change");
  });

  form.addEventListener("htmx:before:request", (event) => {
    if (event.target !== form) return; // the fields of another processor are fetched
    clear();
    event.detail.ctx.fetch = send;
    notice.replaceChildren();
    bar.value = 0;
    bar.hidden = false;
  });
  form.addEventListener("htmx:finally:request", (event) => {
    if (event.target !== form) return;
    bar.hidden = true;
    mark();
  });
  form.addEventListener("htmx:error", (event) => {
    if (event.target !== form) return;
    const line = document.createElement("p");
    line.className = "notice bad";
    line.textContent = "The files did not arrive: the connection to HelixNet broke. Try again.";
    notice.replaceChildren(line);
  });
  form.addEventListener("submitted", () => {
    const processor = chosen.value;
    form.reset();
    chosen.value = processor; // its fields are still there
  });
})();
