"use strict";
// A service is a row of the timeline, a box of the graph and a line of the table.
const parts = new Map();
const add = (name, element) => {
  if (!parts.has(name)) parts.set(name, []);
  parts.get(name).push(element);
  element.addEventListener("mouseenter", () => mark(name, true));
  element.addEventListener("mouseleave", () => mark(name, false));
};
const mark = (name, on) => parts.get(name).forEach(e => e.classList.toggle("hot", on));
document.querySelectorAll("[data-name]").forEach(e => add(e.dataset.name, e));
document.querySelectorAll("#graph g:has(> .box):has(> .name)").forEach(e => {
  const name = e.querySelector(".name").textContent;
  if (!parts.has(name)) return;
  const row = parts.get(name)[0], box = e.querySelector(".box");
  box.classList.toggle("critical", row.matches(":has(.rim)"));
  box.classList.toggle("bad", row.matches(":has(.bad)"));
  add(name, e);
});
const search = document.querySelector("input"), found = document.querySelector("output");
const filter = () => {
  const wanted = search.value.trim().toLowerCase();
  let n = 0;
  for (const [name, elements] of parts) {
    const hit = name.toLowerCase().includes(wanted);
    n += hit;
    elements.forEach(e => e.classList.toggle("dim", !hit));
  }
  found.textContent = wanted ? `${n} of ${parts.size} services` : "";
};
search.addEventListener("input", filter);
search.addEventListener("keydown", e => {
  if (e.key === "Escape") search.value = "", filter();
  if (e.key !== "Enter") return;
  const first = document.querySelector(".row:not(.dim)");
  if (first) first.scrollIntoView({ block: "center" });
});
filter();
