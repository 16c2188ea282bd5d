// Keeps an open page true: says when the server or its database is away, and mends the page when it
// is back. Without this script pages are as good, only older.
"use strict";
(() => {
  const body = document.body;
  const notice = document.getElementById("stale");
  const every = Number(body.dataset.check) * 1000;
  const fresh = Number(body.dataset.refresh) * 1000;
  let loaded = Date.now();
  let owed = false;
  let asking = false;

  const tell = (words) => {
    notice.textContent = words;
    notice.hidden = !words;
  };

  // Whoever types, chooses, or has marked something on the page is not disturbed.
  const busy = () => {
    const at = document.activeElement;
    const typing = at && ["INPUT", "SELECT", "TEXTAREA"].includes(at.tagName);
    return typing || String(document.getSelection()) !== "";
  };

  const show = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    const main = document.querySelector("main");
    const open = [...main.querySelectorAll("details")].map((one) => one.open);
    const focused = document.activeElement && document.activeElement.getAttribute("href");
    const made = page.querySelector("main");
    made.querySelectorAll("details").forEach((one, n) => { one.open = open[n] || false; });
    main.replaceWith(document.adoptNode(made));
    if (focused) made.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    document.title = page.title;
    loaded = Date.now();
  };

  const check = async () => {
    if (asking || document.hidden) return;
    asking = true;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), every);
    try {
      const due = (owed || (fresh && Date.now() - loaded >= fresh)) && !busy();
      const answer = await fetch(due ? location.href : "/healthz", { cache: "no-store", signal: limit.signal });
      if (answer.status === 503) throw new Error("database");
      if (due && answer.ok) {
        show(await answer.text());
        owed = false;
      }
      if (!owed) tell("");
    } catch (error) {
      owed = true;
      tell(error.message === "database" ? body.dataset.noDatabase : body.dataset.noServer);
    } finally {
      clearTimeout(timer);
      asking = false;
    }
  };

  setInterval(check, every);
  document.addEventListener("visibilitychange", check);
  for (const event of ["pageshow", "online", "offline"]) window.addEventListener(event, check);
})();
