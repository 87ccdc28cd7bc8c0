// Stacks as an icicle: a frame is as wide as the memory that was allocated below it.
const ROW = 22;
const icicle = { canvas: $("icicle"), direction: "down", root: null, zoom: null, boxes: [], hover: null };

function buildTree(direction) {
  const root = { title: data.program.split("/").pop() || "all", frame: null, kids: new Map(), depth: 0, size: 0, count: 0, parent: null };
  for (const stack of data.stacks) {
    const order = direction === "down" ? stack.frames : [...stack.frames].reverse();
    let node = root;
    root.size += stack.size; root.count += stack.count;
    for (const index of order) {
      const frame = frames[index];
      let kid = node.kids.get(frame.title);
      if (!kid) {
        kid = { title: frame.title, short: short(frame.title), frame, kids: new Map(), depth: node.depth + 1, size: 0, count: 0, parent: node, places: new Set() };
        node.kids.set(frame.title, kid);
      }
      kid.size += stack.size; kid.count += stack.count;
      if (frame.place) kid.places.add(frame.shortPlace);
      node = kid;
    }
  }
  return root;
}

/** A little lighter or darker, so that neighbours of one crate can be told apart. */
const shade = title => [...title].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 997, 7) % 7 * 2 - 6;

function drawIcicle() {
  const { canvas } = icicle;
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, top = icicle.zoom;
  // The zoomed frame's callers stay above it, as wide as all.
  const boxes = [];
  const path = [];
  for (let node = top; node; node = node.parent) path.unshift(node);
  path.forEach((node, row) => boxes.push({ node, x: 0, w: width, row }));
  let rows = path.length;
  const whole = top[state.metric] || 1;
  const place = (node, x, row) => {
    const kids = [...node.kids.values()].sort((a, b) => b[state.metric] - a[state.metric]);
    for (const kid of kids) {
      const w = kid[state.metric] / whole * width;
      if (w < .6) break;
      boxes.push({ node: kid, x, w, row });
      rows = Math.max(rows, row + 1);
      place(kid, x, row + 1);
      x += w;
    }
  };
  place(top, 0, path.length);
  icicle.boxes = boxes;
  const height = Math.max(rows, 3) * ROW;
  canvas.style.height = height + "px";
  canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
  const g = canvas.getContext("2d");
  g.scale(ratio, ratio);
  g.font = "12px " + css("--mono");
  g.textBaseline = "middle";
  const letter = g.measureText("m").width;
  const colors = { ink: css("--frame-ink"), match: css("--match"), root: css("--line"), text: css("--ink"), accent: css("--accent") };
  const fills = new Map();
  for (const { node, x, w, row } of boxes) {
    if (!fills.has(node.title)) fills.set(node.title, node.frame ? crateColor(node.frame.crate, shade(node.title)) : colors.root);
    const isMatch = state.query && node.frame && node.frame.text.includes(state.query);
    g.globalAlpha = (state.query && !isMatch) || row < path.length - 1 ? .38 : 1;
    g.fillStyle = isMatch ? colors.match : fills.get(node.title);
    g.fillRect(x, row * ROW, Math.max(w - 1, .5), ROW - 1);
    if (node === icicle.hover) {
      g.globalAlpha = 1; g.strokeStyle = colors.accent; g.lineWidth = 2;
      g.strokeRect(x + 1, row * ROW + 1, Math.max(w - 3, 1), ROW - 3);
    }
    const room = Math.floor((w - 10) / letter);
    if (room >= 3) {
      const label = node.short || node.title;
      const text = label.length <= room ? label : label.slice(0, room - 1) + "…";
      g.globalAlpha = state.query && !isMatch ? .55 : 1;
      g.fillStyle = isMatch ? "#fff" : node.frame ? colors.ink : colors.text;
      g.fillText(text, x + 5, row * ROW + ROW / 2);
      const used = (text.length + 2) * letter;
      const share = percent(node[state.metric] / (icicle.root[state.metric] || 1));
      if (w - used > (share.length + 2) * letter) {
        g.globalAlpha *= .65; g.textAlign = "right";
        g.fillText(share, x + w - 7, row * ROW + ROW / 2);
        g.textAlign = "left";
      }
    }
  }
  g.globalAlpha = 1;
  $("zoom-out").hidden = icicle.zoom === icicle.root;
}

function boxAt(event) {
  const area = icicle.canvas.getBoundingClientRect();
  const x = event.clientX - area.left, row = Math.floor((event.clientY - area.top) / ROW);
  return icicle.boxes.find(b => b.row === row && b.x <= x && x < b.x + b.w);
}

function zoomTo(node) {
  icicle.zoom = node; icicle.hover = null;
  hideTip(); drawIcicle();
}

function nodeTip(event, node) {
  const places = node.places ? [...node.places] : [];
  const share = node.size / (icicle.root.size || 1);
  showTip(event, node.frame ? node.title : "all stacks",
    places.length ? places[0] + (places.length > 1 ? ` and ${places.length - 1} more line${places.length > 2 ? "s" : ""}` : "") : "",
    `${bytes(node.size)} (${percent(share)}) in ${whole(node.count)} block${node.count === 1 ? "" : "s"}`,
    node.frame ? "crate " + node.frame.crate : "");
}

/** How much of all is below a frame that is searched for, each block counted once. */
function matchedShare() {
  const found = new Set(frames.keys().filter(i => frames[i].text.includes(state.query)));
  let sum = 0, whole = 0;
  for (const stack of data.stacks) {
    whole += stack[state.metric];
    if (stack.frames.some(i => found.has(i))) sum += stack[state.metric];
  }
  return [sum, sum / (whole || 1)];
}

function startIcicle() {
  const rebuild = direction => {
    icicle.direction = direction;
    icicle.root = icicle.zoom = buildTree(direction);
    drawIcicle();
  };
  rebuild("down");
  onSwitch("direction", rebuild);
  icicle.canvas.addEventListener("mousemove", event => {
    const box = boxAt(event);
    const node = box ? box.node : null;
    if (node !== icicle.hover) { icicle.hover = node; drawIcicle(); }
    if (node) nodeTip(event, node); else hideTip();
  });
  icicle.canvas.addEventListener("mouseleave", () => { icicle.hover = null; hideTip(); drawIcicle(); });
  icicle.canvas.addEventListener("click", event => { const box = boxAt(event); if (box) zoomTo(box.node); });
  $("zoom-out").addEventListener("click", () => zoomTo(icicle.root));
  const top = [...crateSums].sort((a, b) => b[1] - a[1]).slice(0, 7).filter(c => c[1] > 0);
  $("crates").replaceChildren(...top.map(([crate, size]) =>
    element("span", {}, element("i", { style: `background:${crateColor(crate)}` }), `${crate} ${bytes(size)}`)));
}
