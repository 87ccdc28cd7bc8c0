// Places in a table: what was allocated right there, and there or below.
const table = { group: "function", sort: "size", ascending: false, shown: 25 };

const keyOf = {
  function: frame => frame.title,
  line: frame => frame.place || frame.title,
  file: frame => frame.place ? frame.file : "<unknown>",
  crate: frame => frame.crate,
};

/** A row for each group; a stack counts once in each, however often it recurs. */
function placeRows() {
  const rows = new Map();
  const row = (key, frame) => {
    if (!rows.has(key)) rows.set(key, { name: key, frame, size: 0, total: 0, count: 0, totalCount: 0, variance: 0, text: "" });
    return rows.get(key);
  };
  for (const stack of data.stacks) {
    const seen = new Set();
    stack.frames.forEach((index, i) => {
      const frame = frames[index], place = row(keyOf[table.group](frame), frame);
      if (!place.text) place.text = table.group === "crate" ? frame.crate.toLowerCase() : frame.text;
      if (!seen.has(place)) { seen.add(place); place.total += stack.size; place.totalCount += stack.count; }
      if (i === stack.frames.length - 1) {
        place.size += stack.size; place.count += stack.count;
        place.variance += (stack.size_error || 0) ** 2;
      }
    });
  }
  for (const place of rows.values()) place.average = place.count ? place.size / place.count : 0;
  return [...rows.values()];
}

function sortedRows() {
  const by = table.sort, sign = table.ascending ? 1 : -1;
  const key = by === "size" && state.metric === "count" ? "count" : by === "total" && state.metric === "count" ? "totalCount" : by;
  return placeRows().filter(row => !state.query || row.text.includes(state.query))
    .sort((a, b) => sign * (key === "name" ? a.name.localeCompare(b.name) : a[key] - b[key]) || b.total - a.total);
}

function drawTable() {
  const rows = sortedRows(), size = state.metric === "size";
  const whole_ = data.stacks.reduce((sum, stack) => sum + stack[state.metric], 0) || 1;
  $("rows").replaceChildren(...rows.slice(0, table.shown).map(row => {
    const own = size ? row.size : row.count, total = size ? row.total : row.totalCount;
    const bar = element("div", { class: "meter" },
      element("i", { class: "wide", style: `width:${total / whole_ * 100}%` }),
      element("i", { style: `width:${own / whole_ * 100}%` }));
    const error = size && row.variance ? [element("span", { class: "error" }, " ± " + bytes(Math.sqrt(row.variance)))] : [];
    const detail = table.group === "function" && row.frame.place ? shortPath(row.frame.file) : table.group === "line" ? row.frame.fn : "";
    const name = table.group === "line" ? row.frame.shortPlace || row.name : table.group === "file" ? shortPath(row.name) : row.name;
    const cell = (n, text) => element("td", { class: n ? "number" : "number none" }, text);
    const line = element("tr", { tabindex: "0" },
      element("td", { class: own ? "number" : "number none" }, measure(own), ...error),
      element("td", { class: "bar" }, bar),
      cell(total, measure(total)),
      cell(row.count, whole(row.count)),
      cell(row.count, row.count ? bytes(row.average) : ""),
      element("td", { class: "place", title: row.frame.place || row.name }, name, ...(detail ? [element("small", {}, detail)] : [])));
    const search = () => { $("search").value = table.group === "line" ? row.frame.fn : row.name; find($("search").value); };
    line.addEventListener("click", search);
    line.addEventListener("keydown", event => { if (event.key === "Enter") search(); });
    return line;
  }));
  $("more").hidden = rows.length <= table.shown;
  $("more").textContent = `Show all ${whole(rows.length)}`;
  for (const button of document.querySelectorAll("th button")) {
    if (button.dataset.sort === table.sort) button.setAttribute("aria-sort", table.ascending ? "ascending" : "descending");
    else button.removeAttribute("aria-sort");
  }
}

function saveCsv() {
  const quote = text => `"${String(text).replaceAll('"', '""')}"`;
  const lines = sortedRows().map(r => [r.size, r.total, r.count, quote(r.name), quote(r.frame.place)].join(","));
  const blob = new Blob(["own_bytes,total_bytes,own_blocks,place,source\n" + lines.join("\n") + "\n"], { type: "text/csv" });
  const link = element("a", { href: URL.createObjectURL(blob), download: `memory-by-${table.group}.csv` });
  link.click();
  URL.revokeObjectURL(link.href);
}

function startTable() {
  onSwitch("group", group => { table.group = group; table.shown = 25; drawTable(); });
  document.querySelector("thead").addEventListener("click", event => {
    const by = event.target.dataset.sort;
    if (!by) return;
    table.ascending = table.sort === by ? !table.ascending : by === "name";
    table.sort = by;
    drawTable();
  });
  $("more").addEventListener("click", () => { table.shown = Infinity; drawTable(); });
  $("csv").addEventListener("click", saveCsv);
  drawTable();
}
