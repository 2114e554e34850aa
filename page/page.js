// The page asks for what has changed, keeps it, and brings what is shown to it.
// Text of anybody's is only ever put in as text; the policy of the page would
// not let it become anything else. It asks again and again rather than keeping
// a stream open: a browser opens six connections to a host, and a seventh tab
// with a stream would wait for the others to be closed.
"use strict";

const $ = (id) => document.getElementById(id);

// Signs say by their form what colours say too; they are those of the terminal.
const signs = {
  pending: "·", blocked: "◌", starting: "◔", probing: "◑", backoff: "↻", healthy: "✓", completed: "✓",
  degraded: "!", failed: "✗", stopped: "⊘", skipped: "⊘", canceled: "⊘",
};
const readyStates = new Set(["healthy", "completed"]);
const settledStates = new Set(["healthy", "completed", "degraded", "failed", "stopped", "skipped", "canceled"]);
const badStates = new Set(["degraded", "failed", "backoff"]);
const phaseNames = {
  waiting: "waiting", pulling: "pulling its image", queued: "waiting for a slot, or for another try", starting: "starting",
  probing: "probing", ready: "ready", unready: "not ready",
};

const known = { page: "", version: 0, planned: 0, boot: null, stages: [], services: [], name: "", said: "" };
let clockAhead = 0; // of the agent's clock, in milliseconds
let at = 0; // the service that has the keyboard
let opened = -1; // the service whose detail is shown
let cameFrom = null; // who gets the keyboard back
const rows = []; // by service
const boxes = []; // by service: its group in the picture
const stageRows = [];

// el makes an element; text is text.
function el(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// put changes a text only if it is another one: what has not changed is not
// drawn, and not read out again.
function put(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// clean writes out what could hide or turn around the text beside it.
function clean(s) {
  return s.trim().replace(/[\n\r\t]+/g, " ").replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
}

function elapsed(s) {
  if (s < 0) s = 0;
  if (s < 10) return s.toFixed(1) + "s";
  if (s < 60) return Math.floor(s) + "s";
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  if (s < 3600) return Math.floor(s / 60) + "m" + two(s % 60) + "s";
  if (s < 86400) return Math.floor(s / 3600) + "h" + two((s % 3600) / 60) + "m";
  return Math.floor(s / 86400) + "d" + two((s % 86400) / 3600) + "h";
}

const now = () => Date.now() + clockAhead;
const ago = (time) => (now() - Date.parse(time)) / 1000;
const booting = () => known.boot !== null && known.boot.elapsed_s === null;
const bootElapsed = () => (known.boot === null ? 0 : known.boot.elapsed_s ?? Math.max(0, ago(known.boot.began)));

// Why a service waits, in a line.
function reason(s) {
  const parts = [];
  if (s.attempt > 1 && !readyStates.has(s.state)) parts.push("attempt " + s.attempt);
  const left = s.until === null ? 0 : -ago(s.until);
  switch (s.state) {
    case "blocked": parts.push(waitsFor(s)); break;
    case "backoff": parts.push("again in " + elapsed(left)); break;
    case "starting": case "probing": if (left > 0) parts.push(elapsed(left) + " left"); break;
  }
  if (s.cause) parts.push(clean(s.cause));
  return parts.join("; ");
}

function waitsFor(s) {
  const names = s.needs.filter((n) => {
    const other = known.services[n.id];
    if (n.kind === "depends_on") return !readyStates.has(other.state);
    return !settledStates.has(other.state) && !(n.kind === "after" && other.attempt > 0);
  }).map((n) => known.services[n.id].name);
  return names.length === 0 ? "waits for its image, or a slot" : "waits for " + names.join(", ");
}

// --- what is asked for

let timer = 0;
let asking = false;
let failures = 0;

async function ask() {
  clearTimeout(timer);
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch("/state?page=" + encodeURIComponent(known.page) + "&after=" + known.version, { signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(answer.statusText);
    take(await answer.json());
    failures = 0;
    put($("link"), "live");
    $("link").className = "";
  } catch {
    failures++;
    put($("link"), "no answer from the agent; this is how it was");
    $("link").className = "lost";
  }
  asking = false;
  const pause = failures > 0 ? Math.min(1000 * failures, 5000) : booting() || known.boot === null ? 500 : 2000;
  timer = setTimeout(ask, pause);
}

function take(doc) {
  const another = doc.planned !== known.planned || doc.page !== known.page;
  clockAhead = Date.parse(doc.now) - Date.now();
  for (const key of ["page", "version", "planned", "boot", "stages", "name", "said"]) known[key] = doc[key];
  if (doc.whole) known.services = [];
  for (const s of doc.services) known.services[s.id] = s;
  if (another) {
    build();
    drawGraph();
  }
  showHead();
  showStages();
  showAll(doc.services);
  if (opened >= 0 && doc.services.length > 0) showDetail();
}

// --- head

function showHead() {
  document.title = known.name + (known.boot === null ? "" : booting() ? ": booting" : ": " + known.boot.outcome);
  put($("name"), clean(known.name));
  put($("said"), clean(known.said));
  const counts = new Map();
  for (const s of known.services) counts.set(s.state, (counts.get(s.state) ?? 0) + 1);
  for (const [state, r] of Object.entries(countRows)) {
    r.hidden = !counts.has(state);
    put(r.firstChild, signs[state] + " " + (counts.get(state) ?? 0) + " " + state);
  }
  showClock();
}

// A number of services leads to the first of them, and to the next again.
const countRows = {};
for (const state of Object.keys(signs)) {
  const li = el("li", "st-" + state);
  const button = el("button");
  button.type = "button";
  button.title = "to the next one that is " + state;
  button.addEventListener("click", () => {
    const these = known.services.filter((s) => s.state === state);
    const next = these.find((s) => s.id > at) ?? these[0];
    if (next) rove(next.id, true);
  });
  li.append(button);
  li.hidden = true;
  countRows[state] = li;
  $("counts").append(li);
}

function showClock() {
  let text = "has not begun to boot";
  if (booting()) text = "booting for " + elapsed(bootElapsed());
  else if (known.boot !== null) text = "boot " + known.boot.outcome + " after " + elapsed(bootElapsed());
  const usual = known.boot?.usual_s ?? null;
  if (usual !== null) {
    const left = usual - bootElapsed();
    if (!booting()) text += ", usually " + elapsed(usual);
    else text += left >= 0 ? ", about " + elapsed(left) + " left" : ", " + elapsed(-left) + " longer than usual";
  }
  put($("clock"), text);
}

// --- list and timeline

// build makes the rows of a plan.
function build() {
  const had = document.activeElement?.closest(".row") !== null && document.activeElement !== document.body;
  rows.length = stageRows.length = 0;
  const list = $("list");
  list.replaceChildren();
  known.stages.forEach((stage, i) => {
    const section = el("section", "stage");
    const head = el("div", "stage-head");
    const title = el("h3", "", clean(stage.name));
    title.id = "stage-" + i;
    section.setAttribute("aria-labelledby", title.id);
    const outcome = el("span", "outcome");
    const bar = el("span", "bar");
    head.append(title, outcome, bar);
    const ul = el("ul");
    section.append(head, ul);
    list.append(section);
    stageRows.push({ outcome, bar, ul });
  });
  for (const s of known.services) {
    const row = el("button", "row");
    row.type = "button";
    row.dataset.id = s.id;
    row.setAttribute("aria-controls", "detail");
    const part = (name) => row.appendChild(el("span", name));
    const r = { row, sign: part("sign"), name: part("name"), state: part("state"), for: part("for"), bar: part("bar"), why: part("why") };
    for (const hidden of [r.sign, r.bar]) hidden.setAttribute("aria-hidden", "true");
    r.name.textContent = s.name;
    r.name.title = s.name;
    rows[s.id] = r;
    const li = el("li");
    li.append(row);
    stageRows[s.stage].ul.append(li);
  }
  if (at >= rows.length) at = 0;
  if (opened >= rows.length) closeDetail();
  if (known.services.length === 0) list.append(el("p", "", "There are no services: nothing to boot."));
  rove(at, had);
}

function showAll(changed) {
  scale();
  for (const s of known.services) showTimes(s);
  for (const s of changed) showService(s);
  for (const s of known.services) showWhy(s);
}

function showService(s) {
  const r = rows[s.id];
  r.row.className = "row st-" + s.state + (badStates.has(s.state) ? " bad" : "");
  put(r.sign, signs[s.state]);
  put(r.state, s.state);
  colourBox(s);
}

// showWhy is for all: what one waits for may be another's state.
function showWhy(s) {
  const r = rows[s.id];
  const why = reason(s);
  put(r.why, why);
  r.why.hidden = why === "";
}

let most = 1; // seconds that a bar is wide
let shownMost = 0;

// scale keeps the scale for a while as a boot goes on, so that bars grow rather
// than shrink.
function scale() {
  const taken = Math.max(bootElapsed(), 0.5);
  if (!booting()) most = taken;
  else if (taken > most || taken < most / 4) most = nice(taken * 1.25);
  if (most === shownMost) return;
  shownMost = most;
  const tick = nice(most / 8);
  document.documentElement.style.setProperty("--tick", (100 * tick) / most + "%");
  const bar = el("span", "bar");
  for (let t = 0; t < most * 0.97; t += tick) {
    const label = el("span", "tick", t < 60 ? Number(t.toFixed(2)) + "s" : elapsed(t));
    label.style.left = (100 * t) / most + "%";
    bar.append(label);
  }
  $("axis").replaceChildren(bar);
  for (const r of rows) if (r) r.drawn = "";
}

// nice is the next round number of seconds.
function nice(s) {
  for (const n of [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800]) if (n >= s) return n;
  return Math.ceil(s / 86400) * 86400;
}

function place(e, from, to) {
  e.style.left = (100 * from) / most + "%";
  e.style.width = (100 * Math.max(0, to - from)) / most + "%";
}

function barrierAt(seconds) {
  const line = el("i", "barrier");
  line.style.left = "calc(" + (100 * seconds) / most + "% - 1px)";
  return line;
}

// showTimes draws the bar of a service; only what goes on is drawn again.
function showTimes(s) {
  const r = rows[s.id];
  put(r.for, s.since === null ? "" : elapsed(ago(s.since)));
  const stage = known.stages[s.stage];
  const key = JSON.stringify([s.spans, stage.began_s, stage.ended_s, s.spans.some((v) => v.to_s === null) ? Math.round(bootElapsed() * 4) : 0]);
  if (r.drawn === key) return;
  r.drawn = key;
  const parts = s.spans.map((v) => {
    const bit = el("i", v.phase);
    const to = v.to_s ?? bootElapsed();
    place(bit, v.from_s, to);
    bit.title = (phaseNames[v.phase] ?? v.phase) + " for " + elapsed(to - v.from_s);
    return bit;
  });
  for (const seconds of [stage.began_s, stage.ended_s]) if (seconds) parts.push(barrierAt(seconds));
  r.bar.replaceChildren(...parts);
}

function showStages() {
  known.stages.forEach((stage, i) => {
    const r = stageRows[i];
    let text = known.boot === null ? "" : "to come";
    if (stage.began_s !== null) text = "open for " + elapsed(Math.max(0, bootElapsed() - stage.began_s));
    if (stage.ended_s !== null) text = stage.outcome + " in " + elapsed(stage.ended_s - stage.began_s);
    else if (stage.began_s === null && known.boot !== null && !booting()) text = "not opened";
    put(r.outcome, text);
    r.bar.replaceChildren();
    if (stage.began_s === null) return;
    const whole = el("i", "whole");
    place(whole, stage.began_s, stage.ended_s ?? bootElapsed());
    r.bar.append(whole);
    for (const seconds of [stage.began_s, stage.ended_s]) if (seconds) r.bar.append(barrierAt(seconds));
  });
}

function showLegend() {
  const items = Object.entries(phaseNames).map(([phase, words]) => el("li", phase, words));
  $("legend").replaceChildren(...items, el("li", "barrier", "barrier of a stage"));
}

// --- keyboard

// rove makes one service of the list the one that Tab leads to.
function rove(id, focus) {
  if (!rows[id]) return;
  rows.forEach((r) => r.row.setAttribute("tabindex", "-1"));
  boxes.forEach((b) => b?.setAttribute("tabindex", "-1"));
  at = id;
  rows[id].row.setAttribute("tabindex", "0");
  boxes[id]?.setAttribute("tabindex", "0");
  if (focus) rows[id].row.focus();
  mark();
}

// mark shows in the graph who has the keyboard, and whose detail is shown.
function mark() {
  const row = document.activeElement?.closest(".row");
  boxes.forEach((b, id) => b?.classList.toggle("chosen", id === opened || row?.dataset.id === String(id)));
  const shown = boxes[row?.dataset.id ?? opened];
  if (shown) reveal(shown);
}

// reveal scrolls the graph to a box, and nothing but the graph.
function reveal(box) {
  const [frame, b, pad] = [$("graph").getBoundingClientRect(), box.getBoundingClientRect(), 24];
  const by = (low, high, least, most) => (low < least ? low - least : high > most ? high - most : 0);
  $("graph").scrollBy(by(b.left - pad, b.right + pad, frame.left, frame.right), by(b.top - pad, b.bottom + pad, frame.top, frame.bottom));
}

function keys(event, elements) {
  const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
  if (by === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const id = Math.min(Math.max(at + by, 0), known.services.length - 1);
  rove(id, false);
  (elements === boxes ? boxes[id] : rows[id].row)?.focus();
}

$("list").addEventListener("keydown", (event) => keys(event, rows));
$("list").addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (row) open(Number(row.dataset.id), row);
});
$("list").addEventListener("focusin", (event) => {
  const row = event.target.closest(".row");
  if (row) rove(Number(row.dataset.id), false);
});
$("list").addEventListener("focusout", () => setTimeout(mark));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && opened >= 0) closeDetail();
});

// --- graph

const shadow = $("graph").attachShadow({ mode: "open" }); // its style is its own
const stateStyle = new CSSStyleSheet();
stateStyle.replaceSync(`
  svg { display: block; }
  g[data-id] { cursor: pointer; outline: none; }
  g[data-id] rect { fill: color-mix(in srgb, var(--of) 15%, var(--page)); stroke: var(--of); stroke-width: 1.6; }
  g.st-pending rect, g.st-blocked rect { fill: var(--page); stroke-width: 1; }
  .badge { fill: var(--of); stroke: var(--page); stroke-width: 1.5; }
  .sign { fill: var(--page); font-size: 12px; font-weight: 700; text-anchor: middle; }
  g.st-degraded rect, g.st-failed rect { stroke-width: 2.6; }
  g.chosen rect { stroke-width: 3.5; }
  g[data-id]:focus-visible rect { stroke: var(--focus); stroke-width: 4; }
  .st-pending, .st-blocked { --of: var(--idle); } .st-starting, .st-probing { --of: var(--busy); } .st-backoff { --of: var(--wait); }
  .st-healthy, .st-completed { --of: var(--good); } .st-degraded { --of: var(--warn); } .st-failed { --of: var(--bad); }
  .st-stopped, .st-skipped, .st-canceled { --of: var(--off); }
`);

// drawGraph fetches the picture. It comes as a document, so that no text has to
// be made into one here.
async function drawGraph() {
  boxes.length = 0;
  const of = known.planned;
  try {
    const [svg, style] = await Promise.all([fetchDocument("/graph.svg"), fetch("/graph.css").then((answer) => answer.text())]);
    if (of !== known.planned) return; // another is on its way
    const own = new CSSStyleSheet();
    own.replaceSync(style);
    shadow.adoptedStyleSheets = [own, stateStyle];
    const picture = document.importNode(svg, true);
    picture.setAttribute("role", "group");
    const byName = new Map(known.services.map((s) => [s.name, s]));
    for (const box of picture.querySelectorAll("g[data-name]")) {
      const s = byName.get(box.dataset.name);
      if (s) enliven(box, s);
    }
    shadow.replaceChildren(picture);
    known.services.forEach(colourBox);
    rove(at, false);
    arrange();
  } catch {
    shadow.replaceChildren(el("p", "", "The graph can't be drawn; the services are below."));
  }
}

function fetchDocument(url) {
  return new Promise((take, refuse) => {
    const request = new XMLHttpRequest();
    request.open("GET", url);
    request.responseType = "document";
    request.onload = () => (request.status === 200 && request.response?.documentElement.localName === "svg" ? take(request.response.documentElement) : refuse());
    request.onerror = refuse;
    request.send();
  });
}

// arrange puts graph and list side by side where there is room for both.
function arrange() {
  const picture = shadow.querySelector("svg");
  const room = document.querySelector("main").clientWidth - 32;
  document.querySelector("main").classList.toggle("beside", picture !== null && Number(picture.getAttribute("width")) + 18 + 600 <= room);
}
new ResizeObserver(arrange).observe(document.querySelector("main"));

// enliven makes a box of the picture that of a service.
function enliven(box, s) {
  boxes[s.id] = box;
  box.dataset.id = s.id;
  box.setAttribute("role", "button");
  const rect = box.querySelector("rect");
  const part = (name, attributes) => {
    const e = box.appendChild(document.createElementNS(box.namespaceURI, name));
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  };
  const [x, y] = [Number(rect.getAttribute("x")) + 3, Number(rect.getAttribute("y")) + 3];
  part("circle", { class: "badge", cx: x, cy: y, r: 8 });
  part("text", { class: "sign", x, y: y + 4 });
}

shadow.addEventListener("click", (event) => {
  const box = event.target.closest?.("g[data-id]");
  if (box) open(Number(box.dataset.id), box);
});
shadow.addEventListener("focusin", (event) => {
  const box = event.target.closest?.("g[data-id]");
  if (box) rove(Number(box.dataset.id), false);
});
shadow.addEventListener("keydown", (event) => {
  const box = event.target.closest?.("g[data-id]");
  if (!box) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    open(Number(box.dataset.id), box);
  }
  keys(event, boxes);
});

function colourBox(s) {
  const box = boxes[s.id];
  if (!box) return;
  for (const c of [...box.classList]) if (c.startsWith("st-")) box.classList.remove(c);
  box.classList.add("st-" + s.state);
  box.querySelector(".sign").textContent = signs[s.state];
  box.setAttribute("aria-label", s.name + ", " + s.state);
}

// --- detail

function open(id, from) {
  if (opened >= 0) rows[opened]?.row.setAttribute("aria-expanded", "false");
  opened = id;
  if (from) cameFrom = from;
  rove(id, false);
  rows[id].row.setAttribute("aria-expanded", "true");
  $("detail").hidden = false;
  $("why").replaceChildren();
  showDetail();
  $("detail-name").focus({ preventScroll: true });
  arrange();
  mark();
  rows[id].row.scrollIntoView({ block: "nearest" });
}

function closeDetail() {
  if (rows[opened]) rows[opened].row.setAttribute("aria-expanded", "false");
  opened = -1;
  $("detail").hidden = true;
  mark();
  (cameFrom?.isConnected ? cameFrom : rows[at]?.row)?.focus();
}

$("close").addEventListener("click", closeDetail);

function link(s, words) {
  const button = el("button", "link st-" + s.state);
  button.type = "button";
  button.append(el("span", "name", s.name), el("span", "", " "), el("span", "state", words));
  button.addEventListener("click", () => open(s.id, null));
  return button;
}

function showDetail() {
  const s = known.services[opened];
  put($("detail-name"), s.name);
  showFacts();
  const lists = [
    ["Waits for", s.needs.map((n) => [known.services[n.id], n.kind])],
    ["Waited for by", known.services.flatMap((other) => other.needs.filter((n) => n.id === s.id).map((n) => [other, n.kind]))],
  ];
  const had = $("around").contains(document.activeElement) ? document.activeElement.textContent : null;
  $("around").replaceChildren(...lists.filter(([, list]) => list.length > 0).flatMap(([title, list]) => {
    const ul = el("ul");
    for (const [other, kind] of list) {
      const li = el("li");
      li.append(link(other, other.state + (kind === "depends_on" ? "" : ", " + kind)));
      ul.append(li);
    }
    return [el("h3", "", title), ul];
  }));
  if (had !== null) ([...$("around").querySelectorAll("button")].find((b) => b.textContent === had) ?? $("detail-name")).focus();
  showChain(s);
}

function showFacts() {
  const s = known.services[opened];
  const facts = [
    ["State", signs[s.state] + " " + s.state + (s.since === null ? "" : " for " + elapsed(ago(s.since))), "state st-" + s.state],
    ["Since", s.since === null ? "" : new Date(s.since).toLocaleString()],
    ["Stage", clean(known.stages[s.stage].name) + ", on failure: " + known.stages[s.stage].on_failure],
    ["Why", reason(s)],
    ["Root cause", s.root && s.root !== s.name ? s.root : ""],
    ["Attempt", s.attempt > 1 ? String(s.attempt) : ""],
    ["Restarts", s.restarts > 0 ? String(s.restarts) : ""],
    ["This boot", phasesOf(s)],
  ].filter(([, text]) => text);
  const shown = facts.map(([name, text]) => name + text).join("");
  if ($("facts").textContent === shown) return;
  $("facts").replaceChildren(...facts.flatMap(([name, text, of]) => [el("dt", "", name), el("dd", of, text)]));
}

function phasesOf(s) {
  const sums = new Map();
  for (const v of s.spans) if (v.phase !== "ready") sums.set(v.phase, (sums.get(v.phase) ?? 0) + (v.to_s ?? bootElapsed()) - v.from_s);
  return [...sums].filter(([, sum]) => sum >= 0.05).map(([phase, sum]) => phase + " " + elapsed(sum)).join(", ");
}

const relations = { depends_on: "depends on", wants: "wants", after: "comes after", stage: "waits for a stage, and so for" };

// showChain asks why, and shows the chain down to its root.
async function showChain(s) {
  let chain;
  try {
    const answer = await fetch("/why?service=" + encodeURIComponent(s.name), { signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(answer.statusText);
    chain = (await answer.json()).chain;
  } catch {
    return; // the next change asks again
  }
  if (opened !== s.id) return;
  const byName = new Map(known.services.map((v) => [v.name, v]));
  const depths = new Map();
  const items = chain.map((l) => {
    const depth = l.of ? (depths.get(l.of) ?? 0) + 1 : 0;
    depths.set(l.service, depth);
    const li = el("li");
    li.style.setProperty("--depth", Math.min(depth, 8));
    if (relations[l.relation]) li.append(el("span", "", relations[l.relation] + " "));
    const other = byName.get(l.service);
    li.append(other ? link(other, "is " + l.state) : el("span", "", l.service + " is " + l.state));
    const since = l.since ? "since " + new Date(l.since).toLocaleTimeString() : "";
    const words = [since, l.attempt > 1 ? "attempt " + l.attempt : "", clean(l.cause)].filter((w) => w).join("; ");
    if (words) li.append(el("p", "", words));
    return li;
  });
  if ($("why").textContent === items.map((i) => i.textContent).join("")) return;
  const had = $("why").contains(document.activeElement) ? document.activeElement.textContent : null;
  $("why").replaceChildren(...items);
  if (had !== null) ([...$("why").querySelectorAll("button")].find((b) => b.textContent === had) ?? $("detail-name")).focus();
}

// --- clock

// Once a second what has only grown older is shown again.
setInterval(() => {
  if (document.hidden || known.page === "") return;
  showClock();
  showStages();
  scale();
  for (const s of known.services) {
    showTimes(s);
    showWhy(s);
  }
  if (opened >= 0) showFacts();
}, 1000);
document.addEventListener("visibilitychange", ask);

showLegend();
ask();
