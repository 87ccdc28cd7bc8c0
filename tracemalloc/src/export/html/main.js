// The head of the page, the search, and the start of everything.
function drawHead() {
  const name = data.program.split("/").pop() || "Memory in use";
  document.title = `${name}: memory in use`;
  $("program").textContent = name;
  const when = data.time ? new Date(data.time * 1000).toLocaleString() : "";
  const how = data.sampling ? `one sample in ${bytes(data.sampling)}` : "every block recorded";
  $("subtitle").textContent = [data.program, data.pid ? "process " + data.pid : "", when,
    data.elapsed_ns ? `after ${seconds(data.elapsed_ns)}` : "", how]
    .filter(Boolean).map(part => part.replaceAll(" ", "\u00a0")).join("  ·  ");
  const { total } = data;
  const error = (e, text) => e ? " ± " + text(e) : "";
  const figures = [
    ["In use", bytes(total.size), error(total.size_error, bytes)],
    ["At most", bytes(data.peak_bytes), ""],
    ["Blocks", whole(total.count), error(total.count_error, whole)],
    ["Stacks", whole(data.stacks.length), ""],
  ];
  $("figures").replaceChildren(...figures.map(([what, value, note]) =>
    element("div", {}, element("dt", {}, what), element("dd", {}, value, ...(note ? [element("small", {}, note)] : [])))));
}

function find(query) {
  state.query = query.trim().toLowerCase();
  redraw();
}

function redraw() {
  const [sum, share] = state.query ? matchedShare() : [];
  $("matched").textContent = state.query ? `${measure(sum)}${state.metric === "count" ? " blocks" : ""}, ${percent(share)}` : "";
  drawIcicle();
  drawTable();
}

drawHead();
startIcicle();
startTable();
startCharts();
$("search").addEventListener("input", event => find(event.target.value));
onSwitch("metric", metric => { state.metric = metric; redraw(); });
addEventListener("resize", drawIcicle);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { startIcicle(); redraw(); });
addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== $("search")) { event.preventDefault(); $("search").focus(); }
  if (event.key === "Escape") {
    if (state.query) { $("search").value = ""; find(""); } else zoomTo(icicle.root);
  }
});
