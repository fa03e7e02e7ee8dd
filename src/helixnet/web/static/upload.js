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

  form.addEventListener("htmx:before:request", (event) => {
    event.detail.ctx.fetch = send;
    notice.replaceChildren();
    bar.value = 0;
    bar.hidden = false;
  });
  form.addEventListener("htmx:finally:request", () => {
    bar.hidden = true;
  });
  form.addEventListener("htmx:error", () => {
    const line = document.createElement("p");
    line.className = "notice bad";
    line.textContent = "The files did not arrive: the connection to HelixNet broke. Try again.";
    notice.replaceChildren(line);
  });
  form.addEventListener("submitted", () => form.reset());
})();
