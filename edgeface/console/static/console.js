// What pages do besides: everything works without it. No page's text is ever taken for markup.
"use strict";

// History: say that something new has happened, without moving what is being read.
const news = document.getElementById("news");
if (news) {
  const events = new EventSource("/api/v1/events/stream");
  const seen = Number(news.dataset.after);
  const kinds = ["recognized", "unknown", "not_live", "not_permitted", "prompt", "challenge", "lockout", "gallery_restored",
    "gallery_unusable", "person_enrolled", "person_removed", "settings_changed", "source_lost",
    "source_back", "source_blind", "sink_failed"];
  for (const kind of kinds) {
    events.addEventListener(kind, (event) => {
      if (Number(event.lastEventId) > seen) news.hidden = false;
    });
  }
  window.addEventListener("pagehide", () => events.close());
}

// Live: pictures come only while the page is in front.
const live = document.getElementById("live");
if (live) {
  const faces = document.getElementById("live-faces");
  const trouble = document.getElementById("live-trouble");
  let source = null;
  const show = (data) => {
    live.src = "data:image/jpeg;base64," + data.picture;
    live.hidden = false;
    trouble.hidden = true;
    const lines = data.faces.map((face) => {
      const who = face.name === null ? faces.dataset.unknown : face.name;
      const parts = [`${face.track}: ${who}`, `${face.width} ${faces.dataset.width}`, face.liveness];
      return (face.why === null ? parts : [...parts, face.why]).join(", ");
    });
    faces.replaceChildren(...(lines.length ? lines : [faces.dataset.nobody]).map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }));
  };
  const stop = () => {
    if (source) source.close();
    source = null;
  };
  const fail = (sentence) => {
    trouble.textContent = sentence;
    trouble.hidden = false;
  };
  const begin = () => {
    if (source || document.hidden) return;
    source = new EventSource("/api/v1/live");
    source.addEventListener("picture", (event) => show(JSON.parse(event.data)));
    source.addEventListener("trouble", (event) => fail(JSON.parse(event.data).error));
    source.addEventListener("error", () => {
      if (source && source.readyState === EventSource.CLOSED) fail(faces.dataset.trouble);
    });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : begin()));
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", begin);
  begin();
}
