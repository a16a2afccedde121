// What a page does by itself: it follows what changes, says when it may be out of date, and sends a form once.
"use strict";
(() => {
  // Milliseconds between two looks while things change, and until a stream that was refused is asked for again.
  const REST = 1000, RETRY = 15000;
  const live = document.getElementById("live");
  const heard = document.getElementById("heard");
  let resting = false, again = false;

  function look() {
    if (resting) {
      again = true;
      return;
    }
    resting = true;
    again = false;
    htmx.trigger(live, "changed");
    setTimeout(() => {
      resting = false;
      // The last change of a burst counts most.
      if (again) look();
    }, REST);
  }

  function follow() {
    const stream = new EventSource("/api/v1/stream");
    stream.addEventListener("message", look);
    // Whatever was told since the page was made, or since nothing was heard, is on no stream.
    stream.addEventListener("open", () => {
      heard.textContent = "";
      look();
    });
    stream.addEventListener("error", () => {
      const now = new Date().toISOString().slice(11, 19);
      heard.textContent ||= `Nothing is heard from healing-bot since ${now}. What you see may be out of date.`;
      if (stream.readyState === EventSource.CLOSED) setTimeout(follow, RETRY);
    });
    // A page that is left is not one that hears nothing.
    window.addEventListener("pagehide", () => stream.close());
  }

  if (live?.getAttribute("hx-get")) follow();
  // On a phone the menu is wider than the page.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });

  // The back button may show a page again as it was left.
  window.addEventListener("pageshow", (event) => {
    for (const form of document.forms) delete form.dataset.sent;
    if (live?.getAttribute("hx-get") && event.persisted) follow();
  });
})();
