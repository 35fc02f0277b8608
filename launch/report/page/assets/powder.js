"use strict";
// Powder patterns: of one structure or two, and how alike a measured one they are.

const CU = 1.54184; // angstrom, as the patterns were computed
const GRID = { start: 5, step: 0.05, count: 1701 };
const LIKENESS_WIDTH = 2; // degrees within which lines may be shifted and still count as alike
// Of the background, degrees on either side: lines are narrower than twice the width; noise is averaged
// before lines are cut off, and what is left of it after; the mean of what lies between lines is zero.
const BACKGROUND = { width: 2, noise: 0.25, smooth: 0.5, between: 0.5 };
const SCALES = [-3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3]; // % of lengths
const RADIANS = Math.PI / 180;

function angleAt(n) {
  return GRID.start + n * GRID.step;
}

// Lines as they are where all lengths of the crystal are larger by some per cent.
function scaledLines(pattern, percent) {
  return pattern.map(([angle, intensity]) => {
    const sine = Math.sin((angle / 2) * RADIANS) / (1 + percent / 100);
    return [(2 * Math.asin(Math.min(1, sine))) / RADIANS, intensity];
  });
}

// Pseudo-Voigt lines, half Gaussian and half Lorentzian.
function profile(lines, width) {
  const values = new Float64Array(GRID.count);
  const reach = 12 * width;
  for (const [angle, intensity] of lines) {
    const from = Math.max(0, Math.ceil((angle - reach - GRID.start) / GRID.step));
    const to = Math.min(GRID.count - 1, Math.floor((angle + reach - GRID.start) / GRID.step));
    for (let n = from; n <= to; n++) {
      const x = (angleAt(n) - angle) / width;
      values[n] += intensity * (0.5 * Math.exp(-4 * Math.LN2 * x * x) + 0.5 / (1 + 4 * x * x));
    }
  }
  return values;
}

function normalised(values) {
  const largest = values.reduce((a, b) => Math.max(a, b), 0) || 1;
  return values.map((value) => (100 * value) / largest);
}

// Sum of products with a triangle of neighbours: the weighted correlation of two patterns.
function blurred(values) {
  const reach = Math.round(LIKENESS_WIDTH / GRID.step);
  const result = new Float64Array(values.length);
  for (let n = 0; n < values.length; n++) {
    if (!values[n]) continue;
    for (let m = Math.max(0, n - reach); m <= Math.min(values.length - 1, n + reach); m++)
      result[m] += values[n] * (1 - Math.abs(m - n) / reach);
  }
  return result;
}

function product(one, other) {
  return one.reduce((sum, value, n) => sum + value * other[n], 0);
}

// De Gelder, Wehrens and Hageman, J. Comput. Chem. 22, 273 (2001): 1 for equal patterns.
function likeness(calculated, measured) {
  const own = calculated.map((value, n) => (measured.within[n] ? value : 0));
  const norm_ = Math.sqrt(product(own, blurred(own)) * measured.norm);
  return norm_ ? product(own, measured.blurred) / norm_ : 0;
}

function bestLikeness(pattern, measured, width, scales) {
  let best = { value: -1, percent: 0 };
  for (const percent of scales) {
    const value = likeness(profile(scaledLines(pattern, percent), width), measured);
    if (value > best.value) best = { value, percent };
  }
  return best;
}

// Two columns: 2 theta in degrees and intensity; other lines are comments.
function readMeasured(text, wavelength) {
  const rows = text.split(/\r?\n/).map(numbersOf)
    .filter((row) => row.length >= 2 && Number.isFinite(row[0]) && Number.isFinite(row[1]))
    .map(([angle, intensity]) => {
      const sine = (CU / wavelength) * Math.sin((angle / 2) * RADIANS);
      return [sine < 1 ? (2 * Math.asin(sine)) / RADIANS : NaN, intensity];
    })
    .filter(([angle]) => angle > 0)
    .sort((a, b) => a[0] - b[0]);
  if (rows.length < 20) throw new Error("needs two columns: 2θ in degrees and intensity, at least 20 rows");
  if (!rows.some(([angle]) => angle >= GRID.start && angle <= angleAt(GRID.count - 1)))
    throw new Error("has no angles between 5 and 90°");
  return onGrid(rows);
}

// "10.5 200", "10.5,200" or "10.5;200", and "10,5 200" where a comma is the decimal sign.
function numbersOf(line) {
  const fields = line.trim().split(/[\s;]+/);
  const withCommas = fields.length > 1 && fields.every((field) => /^[-+]?\d+(,\d+)?$/.test(field));
  return (withCommas ? fields.map((field) => field.replace(",", ".")) : line.trim().split(/[\s,;]+/)).map(Number);
}

// Mean of the rows about each point of the grid, which keeps what finer steps know of weak lines.
function onGrid(rows) {
  const values = new Float64Array(GRID.count);
  const within = new Uint8Array(GRID.count);
  let row = 0;
  let next = 0;
  for (let n = 0; n < GRID.count; n++) {
    const angle = angleAt(n);
    while (row < rows.length - 2 && rows[row + 1][0] < angle) row++;
    while (next < rows.length && rows[next][0] < angle - GRID.step / 2) next++;
    const [[a, p], [b, q]] = [rows[row], rows[row + 1]];
    if (angle < a || angle > b) continue;
    within[n] = 1;
    let [sum, count] = [0, 0];
    for (let m = next; m < rows.length && rows[m][0] < angle + GRID.step / 2; m++, count++) sum += rows[m][1];
    values[n] = count ? sum / count : b > a ? p + ((q - p) * (angle - a)) / (b - a) : p;
  }
  const plain = withoutBackground(values, within);
  const soft = blurred(plain);
  return { values: normalised(plain), within, blurred: soft, norm: product(plain, soft) };
}

function withoutBackground(values, within) {
  const smooth = means(peeled(means(values, within, BACKGROUND.noise), within), within, BACKGROUND.smooth);
  const rest = values.map((value, n) => (within[n] ? value - smooth[n] : 0));
  // a background cut out of noise is too low
  const level = meanBetweenLines(means(rest, within, BACKGROUND.between).filter((_, n) => within[n]));
  return rest.map((value, n) => (within[n] ? value - level : 0));
}

// Sensitive nonlinear peak clipping, of fourth order, with windows that become narrower: M. Morháč et
// al., Nucl. Instrum. Methods A 401, 113 (1997). A line is cut down to what is on both sides of it; a
// halo of glass, which is as curved as a parabola within a window, stays.
function peeled(values, within) {
  const [first, last] = [within.indexOf(1), within.lastIndexOf(1)];
  let base = values;
  for (let widest = Math.round(BACKGROUND.width / GRID.step); widest > 0; widest--) {
    base = base.map((value, n) => {
      const far = Math.min(widest, n - first, last - n);
      const near = Math.floor(far / 2);
      if (far < 1) return value;
      let level = (base[n - far] + base[n + far]) / 2;
      if (near) {
        const curved = (4 * (base[n - near] + base[n + near]) - base[n - 2 * near] - base[n + 2 * near]) / 6;
        level = Math.max(level, curved);
      }
      return Math.min(value, level);
    });
  }
  return base;
}

// Values far above most are those of lines: left out, again and again.
function meanBetweenLines(values) {
  let kept = values;
  for (let pass = 0; pass < 8; pass++) {
    const middle = median(kept);
    const spread = 1.4826 * median(kept.map((value) => Math.abs(value - middle)));
    const fewer = kept.filter((value) => value <= middle + 2 * spread);
    if (fewer.length === kept.length) break;
    kept = fewer;
  }
  return kept.reduce((sum, value) => sum + value, 0) / (kept.length || 1);
}

function median(values) {
  return values.slice().sort((a, b) => a - b)[Math.floor(values.length / 2)] || 0;
}

// Mean of as much on either side, so that a slope stays one, also at the ends of what was measured.
function means(values, within, width) {
  const widest = Math.round(width / GRID.step);
  const [first, last] = [within.indexOf(1), within.lastIndexOf(1)];
  const sums = [0];
  values.forEach((value, n) => sums.push(sums[n] + value));
  return values.map((value, n) => {
    const reach = Math.min(widest, n - first, last - n);
    return reach > 0 ? (sums[n + reach + 1] - sums[n - reach]) / (2 * reach + 1) : value;
  });
}

class PowderView {
  constructor(frame, open) {
    this.open = open;
    this.known = DATA.crystals.map((crystal, index) => ({ crystal, index })).filter(({ crystal }) => crystal.pattern);
    if (!this.known.length) {
      frame.append(element("p", { class: "hint" }, "Patterns appear once there are structures."));
      return;
    }
    const options = this.known.map(({ crystal, index }) => [index, crystal.heading || crystal.title]);
    this.first = choice(options, () => this.draw());
    this.second = choice([["", "none"], ...options], () => this.draw());
    this.width = element("input", { type: "number", value: "0.2", min: "0.02", max: "3", step: "0.02", onchange: () => this.refresh() });
    this.wavelength = element("input", { type: "number", value: String(CU), min: "0.1", max: "4", step: "0.00001", onchange: () => this.read() });
    this.scaling = checkbox("scale lengths by up to 3 %", true, () => this.refresh());
    // or the same file, measured anew, would be no change
    const forget = (event) => { event.target.value = ""; };
    this.file = element("input", { type: "file", id: "measured", onclick: forget, onchange: () => this.read() });
    this.message = element("p", { class: "hint", role: "status" });
    this.list = element("div");
    this.plot = element("div", { class: "pattern", id: "pattern" });
    frame.append(
      element("div", { class: "tools" }, labelled("Pattern of", this.first), labelled("over", this.second),
        labelled("line width (°)", this.width)),
      element("div", { class: "tools" }, labelled("Measured pattern, 2θ and intensity", this.file),
        labelled("its wavelength (Å)", this.wavelength), this.scaling),
      this.message, this.list, this.plot,
      element("p", { class: "sentence" },
        "Computed with Cu K-alpha (1.54184 Å) at the relaxed lengths, without temperature or texture. " +
        "The likeness is 1 for equal patterns and lets lines be shifted by some tenths of a degree " +
        "(de Gelder et al., 2001); above 0.9 a structure is worth a refinement, and several that " +
        "are as alike cannot be told apart in this way."));
    this.drawn = false;
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      this.drawn = true;
      this.draw();
    }, { rootMargin: "300px" }).observe(this.plot);
  }

  select(index) {
    if (!this.first || !DATA.crystals[index].pattern) return;
    this.first.value = String(index);
    this.draw();
  }

  get lineWidth() {
    return Math.min(3, Math.max(0.02, Number(this.width.value) || 0.2));
  }

  async read() {
    const file = this.file.files[0];
    if (!file) return;
    try {
      this.measured = readMeasured(await file.text(), Number(this.wavelength.value) || CU);
      this.measured.name = file.name;
      this.message.textContent = "";
    } catch (error) {
      this.measured = null;
      this.message.textContent = `${file.name} ${error.message}.`;
    }
    this.refresh();
  }

  refresh() {
    this.compare();
    this.draw();
  }

  // How alike the measured pattern each structure is.
  compare() {
    this.list.replaceChildren();
    this.scales = new Map();
    if (!this.measured) return;
    const scales = this.scaling.querySelector("input").checked ? SCALES : [0];
    const found = this.known.map(({ crystal, index }) => ({
      crystal, index, ...bestLikeness(crystal.pattern, this.measured, this.lineWidth, scales),
    })).sort((a, b) => b.value - a.value);
    for (const { index, percent } of found) this.scales.set(index, percent);
    const rows = found.slice(0, 8).map(({ crystal, index, value, percent }) =>
      element("tr", { tabindex: "0", onclick: () => this.open(index), onkeydown: (e) => e.key === "Enter" && this.open(index) },
        element("td", {}, crystal.heading || crystal.title), element("td", { class: "number" }, value.toFixed(3)),
        element("td", { class: "number" }, `${percent > 0 ? "+" : ""}${percent} %`)));
    this.list.append(element("table", { class: "narrow", id: "likeness" },
      element("thead", {}, element("tr", {}, ...["structure", "likeness", "lengths"].map((text) =>
        element("th", { scope: "col" }, element("button", { type: "button", disabled: true }, text))))),
      element("tbody", {}, ...rows)));
    this.first.value = String(found[0].index);
  }

  draw() {
    if (!this.drawn) return;
    const angles = Array.from({ length: GRID.count }, (_, n) => angleAt(n));
    const traces = [];
    if (this.measured)
      traces.push({ x: angles, y: this.measured.values.map((v, n) => (this.measured.within[n] ? v : NaN)),
        name: escaped(this.measured.name), mode: "lines", line: { color: "#000000", width: 1.2 } });
    [[this.first.value, "#0072B2"], [this.second.value, "#D55E00"]].forEach(([index, color], n) => {
      if (index === "") return;
      const crystal = DATA.crystals[Number(index)];
      const percent = (this.scales && this.scales.get(Number(index))) || 0;
      const lines = scaledLines(crystal.pattern, percent);
      const values = normalised(profile(lines, this.lineWidth));
      const name = escaped(crystal.heading || crystal.title);
      traces.push({ x: angles, y: values, name, mode: "lines", line: { color, width: 1.4 }, hoverinfo: "skip", legendgroup: name });
      traces.push({ x: lines.map(([angle]) => angle), y: lines.map(() => -4 - 5 * n), mode: "markers", showlegend: false, name,
        legendgroup: name, marker: { symbol: "line-ns-open", size: 7, color, line: { width: 1.2, color } },
        text: crystal.pattern.map(([, intensity, hkl]) => `${escaped(hkl)}, ${intensity.toFixed(1)} %`), hoverinfo: "text+x" });
    });
    const layout = { ...PLAIN_LAYOUT, xaxis: { ...AXIS, title: { text: "2θ (°), Cu Kα" }, range: [5, 90] },
      yaxis: { ...AXIS, title: { text: "intensity (% of the strongest)" } } };
    Plotly.react(this.plot, traces, layout, PLOT_CONFIG);
  }
}
