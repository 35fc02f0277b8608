"use strict";
// Puts the page together.

function describeCrystals() {
  for (const { values, crystal, marks } of DATA.rows) {
    const name = marks.includes("known") ? values.name : values.rank;
    DATA.crystals[crystal].heading = [name, values.formula, values.space_group].filter((x) => x !== undefined).join(" · ");
  }
}

function showNotices() {
  const frame = byId("notices");
  if (DATA.unfinished) frame.append(element("p", { class: "notice state" }, DATA.unfinished));
  for (const warning of DATA.warnings) frame.append(element("p", { class: "notice" }, warning));
}

function showDone() {
  const frame = byId("done-frame");
  if (DATA.facts.length) frame.append(element("dl", {}, ...DATA.facts.flatMap(([name, value]) =>
    [element("dt", {}, name), element("dd", {}, value)])));
  if (DATA.deeds.length) {
    const rows = DATA.deeds.map(({ stage, state, jobs, time }) => element("tr", {},
      element("td", {}, stage), element("td", {}, state), element("td", { class: "number" }, jobs), element("td", { class: "number" }, time)));
    const head = ["stage", "state", "jobs", "time"].map((text, n) => element("th", { scope: "col", class: n > 1 ? "number" : "" },
      element("button", { type: "button", disabled: true }, text)));
    frame.append(element("h3", {}, "Cost by stage"),
      element("table", { class: "narrow" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)));
  }
  if (DATA.command) frame.append(element("h3", {}, "To repeat it"), element("pre", {}, DATA.command));
  frame.append(element("h3", {}, "To cite"), element("ul", {}, ...DATA.citations.map((text) => element("li", {}, text))));
}

function start() {
  byId("title").textContent = DATA.title;
  byId("subtitle").textContent = DATA.subtitle;
  describeCrystals();
  showNotices();
  const viewer = new StructureViewer(byId("viewer"));
  if (!DATA.crystals.length)
    byId("viewer").replaceChildren(element("p", { class: "hint" }, "Here is the structure once there is one."));
  const open = (index) => {
    viewer.open(DATA.crystals[index]);
    table.mark(index);
    powder.select(index);
  };
  // from a figure far below, the structure comes into sight
  const openFromFigure = (index) => {
    open(index);
    byId("structure").scrollIntoView({ behavior: "auto", block: "nearest" });
  };
  const table = new StructureTable(byId("table-frame"), open);
  const powder = new PowderView(byId("powder-frame"), open);
  byId("filter").addEventListener("input", (event) => table.filter(event.target.value));
  const unconverged = DATA.rows.some(({ marks }) => marks.includes("unconverged"));
  byId("mark-hint").textContent = unconverged ? "* not relaxed to the limits within the steps allowed." : "";
  drawCharts(byId("figure-frame"), openFromFigure);
  showDone();
  // what there is to read is seen before the graphics are set up
  if (DATA.rows.length) requestAnimationFrame(() => setTimeout(() => open(DATA.rows[0].crystal)));
}

start();
