// Keeps the page true: after each event the parts that have changed are put in place. What a person is doing is left alone.
"use strict";
const said = document.getElementById("said");
const link = document.getElementById("link");
const field = document.getElementById("token");
if (field) {
  // For this tab alone, and gone with it.
  field.value = sessionStorage.getItem("token") ?? "";
  field.addEventListener("input", () => sessionStorage.setItem("token", field.value));
  document.getElementById("access").addEventListener("submit", (event) => event.preventDefault());
}

let running = false;
let again = false;
async function refresh() {
  if (running) { again = true; return; }
  running = true;
  try {
    const response = await fetch("/parts");
    if (response.ok) put(new DOMParser().parseFromString(await response.text(), "text/html"));
  } catch {
    // The stream of events tells that the service is gone.
  }
  running = false;
  if (again) { again = false; later(); }
}
let timer = 0;
function later() { clearTimeout(timer); timer = setTimeout(refresh, 200); }

// All times in one zone, the reader's; what the service said stays for whoever points at it.
const hours = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });
const zones = new Intl.DateTimeFormat("en", { timeZoneName: "short" });
// Summer has another name than winter, whichever of them it is now.
const zone = (moment) => zones.formatToParts(moment).find((part) => part.type === "timeZoneName").value;
function local(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    time.title = time.textContent;
    time.textContent = `${hours.format(moment)} ${zone(moment)}`;
  }
}
local(document);

function put(page) {
  local(page);
  for (const section of page.querySelectorAll("section[id]")) {
    const old = document.getElementById(section.id);
    const open = [...old.querySelectorAll("details")].map((details) => details.open);
    const fresh = document.importNode(section, true);
    fresh.querySelectorAll("details").forEach((details, place) => { details.open = open[place] ?? details.open; });
    if (old.isEqualNode(fresh)) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    if (focused?.tagName === "SELECT") continue;
    old.replaceWith(fresh);
    if (focused?.id) document.getElementById(focused.id)?.focus();
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-post]");
  if (!button) return;
  button.disabled = true;
  const headers = { "content-type": "application/json" };
  if (field?.value) headers.authorization = `Bearer ${field.value}`;
  try {
    const response = await fetch(button.dataset.post, { method: "POST", headers, body: button.dataset.body });
    const answer = await response.json();
    if (response.status === 401 && field) answer.detail = "type the token above.";
    said.textContent = response.ok ? `${button.textContent}: asked for.` : `${answer.title}: ${answer.detail}`;
    if (response.status === 401) field?.focus();
  } catch (error) {
    said.textContent = `The service did not answer: ${error.message}`;
  }
  button.disabled = false;
  later();
});

document.addEventListener("change", (event) => {
  const select = event.target.closest("select[data-export]");
  if (select?.value) location.assign(`/api/runs/${encodeURIComponent(select.dataset.export)}/export?format=${encodeURIComponent(select.value)}`);
});

const events = new EventSource("/api/events");
events.onopen = () => { link.textContent = "This page keeps itself up to date."; later(); };
events.onerror = () => { link.textContent = "The service does not answer: what is shown may be old. It is tried again."; };
for (const name of ["queued", "run_started", "phase", "trial", "notice", "run_finished", "run_stopped", "test", "stressed", "not_stressed", "round_ended", "finding_began",
  "finding_ended", "source_down", "source_back", "experiments_changed"]) events.addEventListener(name, later);
setInterval(later, 60000);
