"use strict";
// Cells of crystals: atoms to draw, neighbours, and files.

const LIMITS = new Map(DATA.bonds.flatMap(([a, b, d]) => [[`${a} ${b}`, d], [`${b} ${a}`, d]]));
const ALONE = new Map(Object.entries(DATA.elements).map(([symbol, { bond }]) => [symbol, bond]));
const REACH = Math.max(0, ...LIMITS.values(), ...ALONE.values());
const EDGE = 0.01; // of a cell's vector: an atom on a face is drawn on the opposite one, too

function cellOf(crystal, conventional) {
  return (conventional && crystal.conventional) || crystal.cell;
}

function symbolsOf(cell) {
  return cell.species.flatMap(([symbol, number]) => Array(number).fill(symbol));
}

function toCartesian(lattice, f) {
  return [0, 1, 2].map((k) => f[0] * lattice[k] + f[1] * lattice[3 + k] + f[2] * lattice[6 + k]);
}

function norm(v) {
  return Math.hypot(v[0], v[1], v[2]);
}

function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

function minus(a, b) {
  return [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
}

function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

function vectorsOf(lattice) {
  return [lattice.slice(0, 3), lattice.slice(3, 6), lattice.slice(6, 9)];
}

// Lengths in angstrom and angles in degrees.
function parametersOf(lattice) {
  const [a, b, c] = vectorsOf(lattice);
  const angle = (p, q) => (Math.acos(dot(p, q) / norm(p) / norm(q)) * 180) / Math.PI;
  return [norm(a), norm(b), norm(c), angle(b, c), angle(a, c), angle(a, b)];
}

// Cells on either side within which all neighbours of an atom are.
function imagesNeeded(lattice) {
  const [a, b, c] = vectorsOf(lattice);
  const volume = Math.abs(dot(a, cross(b, c)));
  return [cross(b, c), cross(c, a), cross(a, b)].map((n) => Math.ceil((REACH * norm(n)) / volume));
}

// Atoms of repeated cells, those on faces on both of them, and neighbours outside that complete
// what is around the atoms inside.
function atomsToDraw(cell, repeats) {
  const symbols = symbolsOf(cell);
  const margin = imagesNeeded(cell.lattice);
  const alone = cell.species.length === 1; // the element's own bonds, whatever it has in compounds
  const inside = [];
  const outside = [];
  for (let n = 0; n < symbols.length; n++) {
    const f = cell.positions.slice(3 * n, 3 * n + 3);
    for (let i = -margin[0]; i <= repeats[0] + margin[0]; i++)
      for (let j = -margin[1]; j <= repeats[1] + margin[1]; j++)
        for (let k = -margin[2]; k <= repeats[2] + margin[2]; k++) {
          const at = [f[0] + i, f[1] + j, f[2] + k];
          const within = at.every((x, axis) => x >= -EDGE && x <= repeats[axis] + EDGE);
          const atom = { symbol: symbols[n], at: toCartesian(cell.lattice, at), inside: within, alone };
          (within ? inside : outside).push(atom);
        }
  }
  const anions = anionsOf(Object.keys(DATA.elements));
  const wanted = outside.filter((atom) =>
    inside.some((one) => !anions.has(one.symbol) && areNeighbours(one, atom)));
  return [...inside, ...wanted];
}

// The more electronegative elements; polyhedra are drawn around the others.
function anionsOf(symbols) {
  const highest = Math.max(...symbols.map((s) => DATA.elements[s].electronegativity));
  return new Set(symbols.filter((s) => DATA.elements[s].electronegativity > highest - 0.5));
}

function areNeighbours(one, other) {
  const limit = one.alone ? ALONE.get(one.symbol) : LIMITS.get(`${one.symbol} ${other.symbol}`);
  if (!limit) return false;
  const apart = minus(one.at, other.at);
  if (Math.abs(apart[0]) > limit || Math.abs(apart[1]) > limit) return false;
  const distance = norm(apart);
  return distance < limit && distance > 0.1;
}

function neighbourLists(atoms) {
  const lists = atoms.map(() => []);
  for (let i = 0; i < atoms.length; i++)
    for (let j = i + 1; j < atoms.length; j++)
      if (areNeighbours(atoms[i], atoms[j])) {
        lists[i].push(j);
        lists[j].push(i);
      }
  return lists;
}

// Triangles of the convex hull of a few points: those that have all others on one side.
function hull(points) {
  const faces = [];
  for (let i = 0; i < points.length; i++)
    for (let j = i + 1; j < points.length; j++)
      for (let k = j + 1; k < points.length; k++) {
        const normal = cross(minus(points[j], points[i]), minus(points[k], points[i]));
        const length = norm(normal);
        if (length < 1e-3) continue;
        const sides = points.map((p) => dot(minus(p, points[i]), normal) / length);
        if (sides.every((s) => s < 0.05)) faces.push([i, j, k]);
        else if (sides.every((s) => s > -0.05)) faces.push([i, k, j]);
      }
  return faces;
}

function toPoscar(crystal, conventional) {
  const cell = cellOf(crystal, conventional);
  const fixed = (values) => values.map((x) => x.toFixed(6).padStart(12)).join("");
  const rows = [];
  for (let n = 0; n < cell.positions.length; n += 3) rows.push(fixed(cell.positions.slice(n, n + 3)));
  return [
    crystal.name,
    "1.0",
    ...vectorsOf(cell.lattice).map(fixed),
    cell.species.map(([symbol]) => symbol).join(" "),
    cell.species.map(([, number]) => number).join(" "),
    "Direct",
    ...rows,
    "",
  ].join("\n");
}

// Symmetric where the page has been given one, else without symmetry.
function toCif(crystal) {
  if (crystal.cif) return crystal.cif;
  const cell = crystal.cell;
  const names = ["length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"];
  const parameters = parametersOf(cell.lattice).map((x, n) => `_cell_${names[n]} ${x.toFixed(5)}`);
  const sites = symbolsOf(cell).map((symbol, n) => {
    const at = cell.positions.slice(3 * n, 3 * n + 3).map((x) => x.toFixed(5));
    return `${symbol} ${symbol}${n + 1} ${at.join(" ")} 1`;
  });
  return [
    `data_${crystal.name.replace(/[^\w.+()-]/g, "")}`,
    "_symmetry_space_group_name_H-M 'P 1'",
    "_symmetry_Int_Tables_number 1",
    ...parameters,
    "loop_",
    "_symmetry_equiv_pos_as_xyz",
    "'x, y, z'",
    "loop_",
    "_atom_site_type_symbol",
    "_atom_site_label",
    "_atom_site_fract_x",
    "_atom_site_fract_y",
    "_atom_site_fract_z",
    "_atom_site_occupancy",
    ...sites,
    "",
  ].join("\n");
}
