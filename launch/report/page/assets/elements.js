"use strict";
// Elements of the page. What is shown is put in as text, never as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, String(value));
  }
  for (const child of children) made.append(child);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

function labelled(text, control) {
  return element("label", {}, `${text} `, control);
}

function checkbox(text, checked, change) {
  const box = element("input", { type: "checkbox", checked, onchange: () => change(box.checked) });
  return element("label", {}, box, ` ${text}`);
}

function choice(options, change) {
  const list = element("select", { onchange: () => change(list.value) });
  for (const [value, text] of options) list.append(element("option", { value }, text));
  return list;
}

function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = element("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
