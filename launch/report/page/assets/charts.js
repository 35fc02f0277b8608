"use strict";
// Interactive figures; each is drawn when it comes into sight.

const AXIS = { zeroline: false, gridcolor: "#e6e9ec", linecolor: "#8c8c8c", ticks: "outside", tickcolor: "#8c8c8c", automargin: true };
const PLAIN_LAYOUT = {
  margin: { l: 60, r: 36, t: 10, b: 48 }, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff",
  font: { size: 12, color: "#1d2329" }, hovermode: "closest", hoverlabel: { align: "left" },
  modebar: { orientation: "v" }, // beside the data; above them is the legend
  legend: { orientation: "h", maxheight: 400, x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
};
const PLOT_CONFIG = { displaylogo: false, responsive: true, showTips: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

// Plotly takes <b> and the like for markup.
function escaped(text) {
  const whole = String(text);
  return (whole.length > 80 ? whole.slice(0, 79) + "…" : whole).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function drawCharts(frame, open) {
  const pending = new Map();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries)
      if (isIntersecting && pending.has(target)) {
        const panel = pending.get(target);
        pending.delete(target);
        observer.unobserve(target);
        drawPanel(target, panel, open);
      }
  }, { rootMargin: "300px" });
  for (const chart of DATA.charts) {
    const panels = element("div", { class: "figures" });
    frame.append(element("div", { class: "figure" },
      element("h3", {}, chart.title), element("p", { class: "sentence" }, chart.sentence), panels));
    for (const panel of chart.panels) {
      const place = element("div", { class: "panel", role: "img", "aria-label": `${chart.title}: ${panel.y} against ${panel.x}` });
      panels.append(place);
      pending.set(place, panel);
      observer.observe(place);
    }
  }
  if (!DATA.charts.length) frame.append(element("p", { class: "hint" }, "Figures appear as stages end."));
}

// The legend is above the data; a panel with a long one is higher, so that the data keep their room.
const LEGEND_LINE = 19, LEGEND_COLUMN = 165, LETTER = 6.3, HEIGHT = 310;

function heightOf(place, panel) {
  const longest = Math.max(0, ...panel.traces.map((trace) => (trace.name || "").length));
  const column = Math.max(LEGEND_COLUMN, 60 + LETTER * longest);
  const columns = Math.max(1, Math.floor((place.clientWidth - 60) / column));
  return HEIGHT + LEGEND_LINE * Math.max(0, Math.ceil(panel.traces.length / columns) - 2);
}

function drawPanel(place, panel, open) {
  const { xaxis, yaxis, ...rest } = panel.layout;
  place.style.height = `${heightOf(place, panel)}px`;
  const layout = {
    ...PLAIN_LAYOUT, ...rest, showlegend: panel.traces.length > 1 || Boolean(panel.traces[0].name),
    xaxis: { ...AXIS, title: { text: panel.x }, ...xaxis },
    yaxis: { ...AXIS, title: { text: panel.y, font: { size: 11 } }, ...yaxis },
  };
  Plotly.newPlot(place, panel.traces, layout, PLOT_CONFIG);
  place.on("plotly_click", (event) => {
    const index = event.points[0].customdata;
    if (typeof index === "number") open(index);
  });
}
