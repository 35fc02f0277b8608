"use strict";
// The table of structures: sorted by any column, filtered by words and by limits of numbers.

const COMPARISON = /^([\w. ±]+?)(<=|>=|<|>|=)(.+)$/;

// Whether a cell has a word: "Pnma (62)" has Pnma and 62.
function hasWord(value, word) {
  const text = String(value).toLowerCase();
  return text.replaceAll(" ", "") === word || text.split(/[\s,;:()]+/).includes(word);
}

class StructureTable {
  constructor(frame, open) {
    this.open = open;
    this.sorting = { key: null, falling: false };
    this.body = element("tbody");
    this.headings = DATA.columns.map((column) => this.heading(column));
    const head = element("thead", {}, element("tr", {}, ...this.headings.map(({ cell }) => cell)));
    const caption = DATA.rows.length ? "" : "There are no structures yet.";
    frame.append(element("table", { "aria-label": "Structures" }, head, this.body), caption);
    this.rows = DATA.rows.map((row) => this.row(row));
    this.show();
  }

  heading(column) {
    const text = [column.label, element("small", {}, column.unit)];
    const button = element("button", { type: "button", onclick: () => this.sort(column.key), title: column.hint }, ...text);
    const kind = column.digits === null ? "text" : "number";
    const cell = element("th", { scope: "col", class: kind, "aria-sort": "none" }, button);
    return { column, cell };
  }

  row(row) {
    const cells = DATA.columns.map((column) => {
      const value = row.values[column.key];
      let text = value === undefined ? "" : column.digits === null ? String(value) : value.toFixed(column.digits);
      if (column.key === "rank" && row.marks.includes("unconverged")) text += " *";
      const title = text.length > 40 && text; // what is cut off can be read in full
      return element("td", { class: column.digits === null ? "text" : "number", title }, text);
    });
    const line = element("tr", {
      tabindex: "-1", "aria-selected": "false", class: row.marks.join(" "),
      onclick: () => this.choose(row), onkeydown: (event) => this.move(event, row),
    }, ...cells);
    const words = Object.values(row.values).join(" ").toLowerCase();
    return { row, line, words };
  }

  sort(key) {
    this.sorting = { key, falling: this.sorting.key === key && !this.sorting.falling };
    this.show();
  }

  filter(text) {
    // "above best < 20" is one term
    const whole = DATA.columns.map(({ label }) => label.toLowerCase()).filter((label) => label.includes(" "))
      .reduce((rest, label) => rest.replaceAll(label, label.replaceAll(" ", "")), text.toLowerCase());
    this.terms = whole.replace(/\s*(<=|>=|<|>|=)\s*/g, "$1").split(/[\s,;]+/).filter(Boolean);
    this.show();
  }

  // Each term has to fit: a limit as volume<12, a word of a cell as formula=MgO, or a text that a cell has.
  fits({ row, words }) {
    return (this.terms || []).every((term) => {
      const found = term.match(COMPARISON);
      const column = found && DATA.columns.find((c) =>
        [c.key, c.label].some((name) => name.toLowerCase().replaceAll(" ", "").startsWith(found[1])));
      if (!column) return words.includes(term);
      const value = row.values[column.key];
      if (column.digits === null) return found[2] === "=" && value !== undefined && hasWord(value, found[3]);
      const limit = Number(found[3]);
      if (typeof value !== "number" || Number.isNaN(limit)) return false;
      // equal is what the cell shows
      return { "<": value < limit, ">": value > limit, "<=": value <= limit, ">=": value >= limit, "=": value.toFixed(column.digits) === limit.toFixed(column.digits) }[found[2]];
    });
  }

  show() {
    const { key, falling } = this.sorting;
    this.shown = this.rows.filter((entry) => this.fits(entry));
    if (key) {
      const value = (entry) => entry.row.values[key];
      this.shown.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
        return falling ? -order : order;
      });
    }
    for (const { column, cell } of this.headings)
      cell.setAttribute("aria-sort", column.key !== key ? "none" : falling ? "descending" : "ascending");
    this.body.replaceChildren(...this.shown.map(({ line }) => line));
    // one row is reached by Tab, the others from it by the arrow keys
    const current = this.shown.find(({ row }) => row === this.chosen) || this.shown[0];
    for (const { line } of this.rows) line.tabIndex = current && line === current.line ? 0 : -1;
    const all = this.rows.length;
    byId("count").textContent = this.shown.length === all ? `${all} structures` : `${this.shown.length} of ${all} structures`;
  }

  choose(row) {
    this.open(row.crystal);
  }

  // Mark the row of a structure that was opened here or elsewhere.
  mark(crystal) {
    this.chosen = null;
    for (const { row, line } of this.rows) {
      const chosen = row.crystal === crystal;
      if (chosen) this.chosen = row;
      line.setAttribute("aria-selected", String(chosen));
      line.tabIndex = chosen ? 0 : -1;
    }
    if (!this.chosen && this.shown[0]) this.shown[0].line.tabIndex = 0;
  }

  move(event, row) {
    const at = this.shown.findIndex((entry) => entry.row === row);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.shown.length - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") this.choose(row);
    else if (to !== undefined && this.shown[to]) {
      for (const { line } of this.rows) line.tabIndex = -1;
      this.shown[to].line.tabIndex = 0;
      this.shown[to].line.focus();
    } else return;
    event.preventDefault();
  }
}
