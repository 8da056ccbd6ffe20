// What pages do besides: everything works without it. No page's text is ever taken for markup.
"use strict";

// History: say that something new has happened, without moving what is being read.
const news = document.getElementById("news");
if (news) {
  const events = new EventSource("/api/v1/events/stream");
  const seen = Number(news.dataset.after);
  const kinds = ["recognized", "unknown", "not_live", "prompt", "challenge", "lockout", "gallery_restored",
    "gallery_unusable", "person_enrolled", "person_removed", "settings_changed", "source_lost",
    "source_back", "source_blind", "sink_failed"];
  for (const kind of kinds) {
    events.addEventListener(kind, (event) => {
      if (Number(event.lastEventId) > seen) news.hidden = false;
    });
  }
  window.addEventListener("pagehide", () => events.close());
}
