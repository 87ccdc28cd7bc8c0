"use strict";
// The snapshot, and what all parts of the page share.
const data = JSON.parse(document.getElementById("data").textContent);
const state = { metric: "size", query: "" };
const $ = id => document.getElementById(id);

/** Bytes with a unit and three to five digits, as Python's tracemalloc writes them. */
function bytes(n) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (Math.abs(n) < 100 && unit !== "B") return n.toFixed(1) + " " + unit;
    if (Math.abs(n) < 10240) return Math.round(n) + " " + unit;
    n /= 1024;
  }
  return n.toFixed(n < 100 ? 1 : 0) + " TiB";
}
const whole = n => Math.round(n).toLocaleString("en").replaceAll(",", "\u2009");
const measure = (n, metric = state.metric) => metric === "size" ? bytes(n) : whole(n);
const percent = share => (share >= .1 || !share ? (share * 100).toFixed(share < .9995 ? 1 : 0) : (share * 100).toFixed(2)) + " %";
const seconds = ns => ns < 1e6 ? (ns / 1e3).toFixed(0) + " µs" : ns < 1e9 ? (ns / 1e6).toFixed(0) + " ms"
  : ns < 6e10 ? +(ns / 1e9).toFixed(1) + " s" : Math.floor(ns / 6e10) + " min " + Math.round(ns / 1e9 % 60) + " s";

/** What the paths of the program's own files begin with, or nothing if they have little in common. */
const home = (() => {
  const own = data.names.filter(name => name.startsWith("/") && !/\/registry\/src\/|^\/rustc\//.test(name)
    && data.frames.some(([file]) => data.names[file] === name));
  if (!own.length) return "";
  let prefix = own[0];
  for (const path of own) while (!path.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix.slice(0, prefix.lastIndexOf("/") + 1);
})();

/** A path as short as it stays clear: within the program, a package, or the library. */
function shortPath(path) {
  const inPackage = path.match(/\/registry\/src\/[^/]+\/(.*)$/) || path.match(/^\/rustc\/[^/]+\/(library\/.*)$/);
  if (inPackage) return inPackage[1];
  return home.length > 1 && path.startsWith(home) ? path.slice(home.length) : path;
}

/** The frames with their names in place. */
const frames = data.frames.map(([file, line, fn, crate]) => {
  const frame = { file: data.names[file], line, fn: data.names[fn], crate: data.names[crate] };
  frame.place = frame.file && frame.file !== "<unknown>" ? frame.file + ":" + line : "";
  frame.shortPlace = frame.place ? shortPath(frame.file) + ":" + line : "";
  frame.title = frame.fn || frame.place || "<unknown>";
  frame.text = (frame.fn + " " + frame.file).toLowerCase();
  return frame;
});

/** A path without what is in angle brackets, and of that the last two parts. */
function short(title) {
  if (title.includes("/") && !title.includes("::")) return title.split("/").pop();
  const as = title.match(/^<(.*) as (.*)>(::.*)$/);
  if (as) title = as[1].replace(/^&?(mut |dyn )?/, "") + as[3];
  let depth = 0, plain = "";
  for (const c of title) {
    if (c === "<") depth++;
    if (!depth) plain += c;
    if (c === ">" && depth) depth--;
  }
  const parts = plain.replace(/::::/g, "::").replace(/^::/, "").split("::").filter(Boolean);
  let from = parts.length - 1;
  while (from > 0 && /^\{/.test(parts[from])) from--;
  return parts.slice(Math.max(0, from - 1)).join("::") || title;
}

/** A colour for each crate: the library's grey, the largest crates far apart on the wheel. */
const crateSums = new Map();
for (const stack of data.stacks) {
  const crate = stack.frames.length ? frames[stack.frames.at(-1)].crate : "<unknown>";
  crateSums.set(crate, (crateSums.get(crate) || 0) + stack.size);
}
const isLibrary = crate => ["std", "core", "alloc", "<unknown>"].includes(crate);
const hues = new Map();
[...new Set([...[...crateSums].sort((a, b) => b[1] - a[1]).map(c => c[0]), ...frames.map(f => f.crate)])]
  .filter(crate => !isLibrary(crate))
  .forEach((crate, i) => hues.set(crate, (212 + i * 137.5) % 360));
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function crateColor(crate, lift = 0) {
  const light = parseFloat(css("--frame-light")) + lift;
  return hues.has(crate) ? `hsl(${hues.get(crate)} ${css("--frame-chroma")} ${light}%)` : `hsl(240 4% ${light}%)`;
}

/** A colour between pale and strong, by a share of 1. */
const heat = share => `hsl(212 ${40 + 40 * share}% ${dark() ? 24 + 36 * share : 90 - 38 * share}%)`;
const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;

function element(name, attributes = {}, ...children) {
  const node = /^(svg|path|rect|line|text|g|title)$/.test(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "style") node.style.cssText = value; else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

/** Shows a tip at the pointer: a bold line, and plain ones. */
function showTip(event, title, ...lines) {
  const tip = $("tip");
  tip.replaceChildren(element("b", {}, title), ...lines.filter(Boolean).map(l => element("div", {}, l)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + "px";
  tip.style.top = (event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18) + "px";
}
const hideTip = () => { $("tip").hidden = true; };

/** Makes one of a group's buttons the pressed one, and tells which. */
function onSwitch(id, change) {
  $(id).addEventListener("click", event => {
    const value = event.target.dataset.value;
    if (!value) return;
    for (const button of $(id).children) button.setAttribute("aria-pressed", button === event.target);
    change(value);
  });
}
