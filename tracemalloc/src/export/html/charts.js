// Memory over time, size classes, arenas, threads: drawn if the snapshot knows them.
const WIDTH = 1220;

/** Steps that divide up to `most`: powers of two, as bytes are counted. */
function ticks(most) {
  let step = 1;
  while (most / step > 6) step *= 2;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
}

/** A tick's bytes without a fraction. */
function tickLabel(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < 4) { n /= 1024; unit++; }
  return +n.toFixed(1) + " " + units[unit];
}

/** Round times up to `end` nanoseconds. */
function times(end) {
  let step = 10 ** Math.floor(Math.log10(Math.max(end, 1)));
  for (const part of [1, 2, 5]) if (end / (step / part) >= 5) { step /= part; break; }
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, i) => i * step);
}

function show(figure) {
  $(figure).hidden = false;
  $(figure).closest("section").hidden = false;
  return $(figure);
}

/** A frame with lines for bytes and labels for time; gives the scales and the picture. */
function chart(figure, end, most, height) {
  const left = 66, bottom = 24, right = 8;
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img" });
  const x = ns => left + ns / (end || 1) * (WIDTH - left - right);
  const y = n => height - bottom - n / (most || 1) * (height - bottom - 8);
  for (const n of ticks(most)) {
    svg.append(element("line", { class: "grid", x1: left, x2: WIDTH - right, y1: y(n), y2: y(n) }),
      element("text", { x: left - 9, y: y(n) + 4, "text-anchor": "end" }, tickLabel(n)));
  }
  for (const ns of times(end)) {
    svg.append(element("text", { x: x(ns), y: height - 4, "text-anchor": ns ? x(ns) > WIDTH - 40 ? "end" : "middle" : "start" }, ns ? seconds(ns) : "0"));
  }
  show(figure).append(svg);
  return { svg, x, y, left, right };
}

function drawTimeline() {
  if (data.timeline.length < 2) return;
  const series = [
    { name: "resident", index: 3, color: "hsl(28 85% 55%)" },
    { name: "in blocks of the allocator", index: 2, color: "hsl(212 80% 58%)" },
    { name: "asked for", index: 1, color: "hsl(158 55% 45%)" },
  ].filter(s => data.timeline.some(p => p[s.index]));
  const end = Math.max(data.elapsed_ns, data.timeline.at(-1)[0]);
  const most = Math.max(...data.timeline.map(p => Math.max(p[1], p[2], p[3])));
  const { svg, x, y } = chart("timeline", end, most * 1.04, 260);
  for (const s of series) {
    const line = data.timeline.map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)} ${y(p[s.index]).toFixed(1)}`).join("");
    const area = `${line}L${x(data.timeline.at(-1)[0])} ${y(0)}L${x(data.timeline[0][0])} ${y(0)}Z`;
    svg.append(element("path", { d: area, fill: s.color, opacity: .1 }),
      element("path", { d: line, fill: "none", stroke: s.color, "stroke-width": 2, "stroke-linejoin": "round" }));
  }
  const cursor = element("line", { class: "grid", y1: 8, y2: y(0), visibility: "hidden" });
  svg.append(cursor);
  legend("timeline", series);
  svg.addEventListener("mousemove", event => {
    const box = svg.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width * WIDTH;
    const point = data.timeline.reduce((best, p) => Math.abs(x(p[0]) - at) < Math.abs(x(best[0]) - at) ? p : best);
    cursor.setAttribute("x1", x(point[0])); cursor.setAttribute("x2", x(point[0]));
    cursor.setAttribute("visibility", "visible");
    showTip(event, "after " + seconds(point[0]), ...series.map(s => `${bytes(point[s.index])} ${s.name}`));
  });
  svg.addEventListener("mouseleave", () => { cursor.setAttribute("visibility", "hidden"); hideTip(); });
}

function legend(figure, items) {
  $(figure).querySelector("figcaption").append(element("span", { class: "legend" },
    ...items.map(s => element("span", {}, element("i", { style: `background:${s.color}` }), s.name))));
}

function drawBirths() {
  const columns = data.births, most = Math.max(0, ...columns);
  if (!most) return;
  const { svg, x, y } = chart("births", data.elapsed_ns, most * 1.04, 150);
  const step = data.elapsed_ns / columns.length;
  columns.forEach((n, i) => {
    if (!n) return;
    const bar = element("rect", { x: x(i * step) + .5, y: y(n), width: Math.max(x(step) - x(0) - 1, 1), height: Math.max(y(0) - y(n), 1), rx: 2, fill: "hsl(158 55% 45%)" });
    bar.addEventListener("mousemove", e => showTip(e, bytes(n), `allocated between ${seconds(i * step)} and ${seconds((i + 1) * step)}, still in use`));
    bar.addEventListener("mouseleave", hideTip);
    svg.append(bar);
  });
}

function drawClasses() {
  const known = data.classes.some(c => c.pools);
  if (!data.classes.length) return;
  const parts = known
    ? [{ name: "in use", color: "hsl(212 80% 58%)", of: c => c.used * c.block_bytes }, { name: "free in pools", color: "hsl(212 60% 82%)", of: c => c.free * c.block_bytes }]
    : [{ name: "traced blocks", color: "hsl(212 80% 58%)", of: c => c.traced * c.block_bytes }];
  const sum = c => parts.reduce((n, part) => n + part.of(c), 0);
  const most = Math.max(...data.classes.map(sum)), height = 210, left = 66, bottom = 34;
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img" });
  const y = n => height - bottom - n / (most || 1) * (height - bottom - 8);
  for (const n of ticks(most)) {
    svg.append(element("line", { class: "grid", x1: left, x2: WIDTH, y1: y(n), y2: y(n) }),
      element("text", { x: left - 9, y: y(n) + 4, "text-anchor": "end" }, tickLabel(n)));
  }
  const step = (WIDTH - left) / data.classes.length, every = Math.ceil(46 / step);
  data.classes.forEach((c, i) => {
    const column = element("g");
    let low = 0;
    for (const part of parts) {
      const n = part.of(c);
      column.append(element("rect", { x: left + i * step + step * .1, width: step * .8, y: y(low + n), height: Math.max(y(low) - y(low + n), n ? .7 : 0), fill: part.color, rx: Math.min(2, step * .2) }));
      low += n;
    }
    column.append(element("rect", { x: left + i * step, width: step, y: 0, height: height - bottom, fill: "transparent" }));
    column.addEventListener("mousemove", e => showTip(e, "blocks of " + bytes(c.block_bytes),
      known ? `${whole(c.used)} in use, ${whole(c.free)} free, in ${whole(c.pools)} pool${c.pools === 1 ? "" : "s"}` : "",
      c.traced ? `${whole(c.traced)} traced, ${bytes(c.requested)} asked for, ${percent(1 - c.requested / (c.traced * c.block_bytes))} lost to rounding` : ""));
    column.addEventListener("mouseleave", hideTip);
    svg.append(column);
    if (i % every === 0) svg.append(element("text", { x: left + i * step + step / 2, y: height - 14, "text-anchor": "middle" }, tickLabel(c.block_bytes)));
  });
  show("classes").append(svg);
  legend("classes", parts);
}

function drawArenas() {
  if (!data.arenas.length) return;
  const map = element("div", { class: "map" });
  for (const arena of data.arenas) {
    const row = element("div", { class: "arena" }, element("span", {}, arena.address));
    for (const [block, used, room] of arena.pools) {
      const share = room ? used / room : 0;
      const cell = element("i", block ? { style: `background:${heat(share)}` } : {});
      cell.addEventListener("mousemove", e => block
        ? showTip(e, "pool of blocks of " + bytes(block), `${whole(used)} of ${whole(room)} in use (${percent(share)})`)
        : showTip(e, "free pool"));
      cell.addEventListener("mouseleave", hideTip);
      row.append(cell);
    }
    map.append(row);
  }
  show("arenas").append(map);
  legend("arenas", [{ name: "free", color: css("--line") }, { name: "few blocks in use", color: heat(.08) }, { name: "half", color: heat(.5) }, { name: "full", color: heat(1) }]);
}

/** Names, bars and sizes. */
function bars(figure, items) {
  const most = Math.max(1, ...items.map(i => i.size));
  const rows = element("div", { class: "rows" });
  for (const { name, size, note } of items) {
    rows.append(element("span", {}, name),
      element("div", { class: "meter" }, element("i", { style: `width:${size / most * 100}%` })),
      element("span", { class: "number" }, bytes(size) + (note || "")));
  }
  show(figure).append(rows);
}

/** The same, each bar beginning where the one above ends. */
function waterfall(figure, parts) {
  const all = parts.reduce((sum, [, size]) => sum + size, 0) || 1, rows = element("div", { class: "rows" });
  let above = 0;
  for (const [name, size] of parts) {
    rows.append(element("span", {}, name),
      element("div", { class: "meter" }, element("i", { style: `margin-left:${above / all * 100}%;width:${size / all * 100}%` })),
      element("span", { class: "number" }, `${bytes(size)} (${percent(size / all)})`));
    above += size;
  }
  show(figure).append(rows);
}

function startCharts() {
  drawTimeline();
  drawBirths();
  if (data.parts.length) waterfall("parts", data.parts);
  drawClasses();
  drawArenas();
  if (data.threads.length > 1) {
    bars("thread-bars", data.threads.map(t => ({ name: t.name, size: t.size, note: ` in ${whole(t.count)} blocks` })));
  }
}
