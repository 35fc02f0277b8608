"use strict";
// The structure in three dimensions.

class StructureViewer {
  constructor(frame) {
    this.state = { conventional: true, repeats: [1, 1, 1], style: "bonds", cell: true };
    this.heading = element("h3", { "aria-live": "polite" });
    this.canvas = element("div", {
      class: "canvas", tabindex: "0", role: "img",
      "aria-label": "Structure; arrow keys rotate it, plus and minus zoom",
    });
    this.legend = element("div", { class: "legend" });
    this.facts = element("p", { class: "hint" });
    this.cellChoice = choice(
      [["conventional", "conventional cell"], ["primitive", "primitive cell"]],
      (value) => this.change({ conventional: value === "conventional" }));
    const styles = choice(
      [["bonds", "balls and bonds"], ["polyhedra", "polyhedra"], ["spheres", "spheres"]],
      (style) => this.change({ style }));
    const repeats = choice(
      ["1,1,1", "2,1,1", "1,2,1", "1,1,2", "2,2,1", "2,2,2", "3,3,3"].map((v) => [v, v.replaceAll(",", " × ")]),
      (value) => this.change({ repeats: value.split(",").map(Number) }));
    this.cellChoice.setAttribute("aria-label", "Cell");
    styles.setAttribute("aria-label", "Style");
    repeats.setAttribute("aria-label", "Supercell");
    frame.append(
      this.heading, this.canvas, this.legend,
      element("div", { class: "tools" }, this.cellChoice, styles, repeats,
        checkbox("unit cell", true, (cell) => this.change({ cell }))),
      element("div", { class: "tools" },
        element("button", { type: "button", onclick: () => this.reset() }, "Reset view"),
        element("button", { type: "button", id: "save-cif", onclick: () => this.saveCif() }, "CIF"),
        element("button", { type: "button", id: "save-poscar", onclick: () => this.savePoscar() }, "POSCAR")),
      this.facts);
    this.canvas.addEventListener("keydown", (event) => this.turn(event));
    this.view = null;
    this.crystal = null;
    window.addEventListener("resize", () => this.view && this.view.resize());
  }

  // A browser without WebGL has everything but the drawing.
  start() {
    try {
      this.view = $3Dmol.createViewer(this.canvas, { backgroundColor: "white", antialias: true });
      this.view.setProjection("orthographic");
    } catch (error) {
      this.view = null;
    }
    if (!this.view) this.canvas.textContent = "This browser shows no 3D graphics (WebGL).";
    this.started = true;
  }

  open(crystal) {
    if (!this.started) this.start();
    this.crystal = crystal;
    this.cellChoice.disabled = !crystal.conventional;
    this.heading.textContent = crystal.heading || crystal.title;
    this.draw();
    this.reset();
  }

  change(part) {
    Object.assign(this.state, part);
    if (!this.crystal) return;
    this.draw();
    if ("conventional" in part || "repeats" in part) this.reset();
  }

  draw() {
    const cell = cellOf(this.crystal, this.state.conventional);
    this.describe(cell);
    if (!this.view) return;
    this.view.removeAllModels();
    this.view.removeAllShapes();
    const atoms = atomsToDraw(cell, this.state.repeats);
    const neighbours = this.state.style === "spheres" ? atoms.map(() => []) : neighbourLists(atoms);
    this.drawAtoms(atoms, neighbours);
    if (this.state.style === "polyhedra") this.drawPolyhedra(atoms, neighbours);
    if (this.state.cell) this.drawCell(cell.lattice);
    this.view.render();
  }

  drawAtoms(atoms, neighbours) {
    const model = this.view.addModel();
    model.addAtoms(atoms.map((atom, n) => ({
      elem: atom.symbol, x: atom.at[0], y: atom.at[1], z: atom.at[2], serial: n,
      bonds: neighbours[n], bondOrder: neighbours[n].map(() => 1), properties: {},
    })));
    const spheres = this.state.style === "spheres";
    for (const [symbol, { color, radius }] of Object.entries(DATA.elements)) {
      const style = { sphere: { color, radius: (spheres ? 0.9 : 0.32) * Math.max(radius, 0.5) } };
      if (!spheres) style.stick = { color, radius: 0.09 };
      model.setStyle({ elem: symbol }, style);
    }
  }

  drawPolyhedra(atoms, neighbours) {
    const anions = anionsOf(Object.keys(DATA.elements));
    atoms.forEach((atom, n) => {
      const corners = neighbours[n].map((m) => atoms[m]).filter((one) => anions.has(one.symbol));
      if (!atom.inside || anions.has(atom.symbol) || corners.length < 4) return;
      const points = corners.map((one) => one.at);
      const vertices = [], normals = [], faces = [];
      for (const face of hull(points)) {
        const [a, b, c] = face.map((index) => points[index]);
        const normal = cross(minus(b, a), minus(c, a));
        const length = norm(normal);
        for (const p of [a, b, c]) {
          faces.push(vertices.length);
          vertices.push({ x: p[0], y: p[1], z: p[2] });
          normals.push({ x: normal[0] / length, y: normal[1] / length, z: normal[2] / length });
        }
      }
      const color = DATA.elements[atom.symbol].color;
      this.view.addCustom({ vertexArr: vertices, normalArr: normals, faceArr: faces, color, opacity: 0.55 });
    });
  }

  drawCell(lattice) {
    const [na, nb, nc] = this.state.repeats;
    const line = (from, to) => {
      const [start, end] = [from, to].map((f) => toCartesian(lattice, f));
      this.view.addCylinder({
        start: { x: start[0], y: start[1], z: start[2] },
        end: { x: end[0], y: end[1], z: end[2] }, color: "#555555", radius: 0.03,
      });
    };
    for (let i = 0; i <= na; i++)
      for (let j = 0; j <= nb; j++)
        for (let k = 0; k <= nc; k++) {
          if (i < na) line([i, j, k], [i + 1, j, k]);
          if (j < nb) line([i, j, k], [i, j + 1, k]);
          if (k < nc) line([i, j, k], [i, j, k + 1]);
        }
  }

  describe(cell) {
    const symbols = cell.species.map(([symbol]) => symbol);
    this.legend.replaceChildren(...symbols.map((symbol) =>
      element("span", { style: `--dot:${DATA.elements[symbol].color}` }, symbol)));
    const [a, b, c, alpha, beta, gamma] = parametersOf(cell.lattice).map((x) => x.toFixed(3));
    this.facts.textContent =
      `a ${a}, b ${b}, c ${c} Å; α ${alpha}, β ${beta}, γ ${gamma}°; ` +
      `${cell.positions.length / 3} ${cell.positions.length === 3 ? "atom" : "atoms"} in the cell`;
  }

  // A look along no axis, so that nothing hides behind something else.
  reset() {
    if (!this.view) return;
    this.view.setView([0, 0, 0, 0, 0, 0, 0, 1]);
    this.view.rotate(-78, "x");
    this.view.rotate(18, "y");
    this.view.rotate(8, "x");
    this.view.zoomTo();
    this.view.zoom(1.3);
    this.view.render();
  }

  turn(event) {
    const turns = { ArrowLeft: [-10, "y"], ArrowRight: [10, "y"], ArrowUp: [-10, "x"], ArrowDown: [10, "x"] };
    const zooms = { "+": 1.15, "=": 1.15, "-": 1 / 1.15 };
    if (!this.view) return;
    if (event.key in turns) this.view.rotate(...turns[event.key]);
    else if (event.key in zooms) this.view.zoom(zooms[event.key]);
    else return;
    event.preventDefault();
    this.view.render();
  }

  saveCif() {
    if (this.crystal) download(`${this.crystal.name}.cif`, toCif(this.crystal));
  }

  savePoscar() {
    if (this.crystal) download(`${this.crystal.name}.vasp`, toPoscar(this.crystal, this.state.conventional));
  }
}
