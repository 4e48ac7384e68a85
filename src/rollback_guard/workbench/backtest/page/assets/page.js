// Makes the charts when they come into view, zooms all of them together, and tells what the cursor points at.
"use strict";
(() => {
  const { view, colour, clamp, number, clock, day, span, FONT } = picture;
  const shared = JSON.parse(document.getElementById("shared").textContent);
  const whole = [shared.start, shared.start + shared.length];
  const NARROWEST_S = Math.min(60, shared.length);
  const DAY_S = 86400;
  const charts = new Map(); // figure -> its chart
  const seen = new Set(); // figures in view, or nearly
  const figures = document.querySelectorAll("#rules figure");

  // ── charts ─────────────────────────────────────────────────────────────────────────────────────────────────────
  function make(figure) {
    const rule = JSON.parse(figure.querySelector("script").textContent);
    for (const kind of ["deploys", "incidents"]) rule[kind] ??= [...shared[kind].keys()]; // all of them
    const chart = { rule, lanes: picture.lanes(rule), flat: !rule.at.length, floor: 0, range: view.range };
    chart.raw = picture.values(rule, shared.start, shared.length);
    chart.drawn = chart.raw.map((side) => side.map((value) => (typeof value === "number" ? value : null)));
    chart.height = picture.height(chart);
    chart.caption = figure.querySelector("figcaption");
    chart.place = figure.querySelector(".plot");
    charts.set(figure, chart);
    build(chart);
  }

  function build(chart) {
    if (chart.plot) chart.plot.destroy();
    chart.bent = picture.isBent(chart);
    chart.plot = new uPlot(options(chart), chart.drawn, chart.place);
  }

  const widthOf = (chart) => Math.max(200, Math.floor(chart.place.clientWidth));

  function options(chart) {
    const { rule } = chart;
    return {
      width: widthOf(chart), height: chart.height, padding: [picture.TOP, 26, 0, 0], legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: {
        x: { range: () => view.range },
        y: { range: () => picture.scale(chart), ...(chart.bent ? { distr: 4, asinh: picture.plain(rule) } : {}) },
      },
      axes: axes(chart),
      series: [{}, side(rule.op && rule.op.startsWith("<")), side(!rule.op || !rule.op.startsWith("<"))],
      bands: [{ series: [2, 1], fill: () => colour("range") }],
      cursor: {
        y: false, points: { show: false }, drag: { x: true, y: false, setScale: false },
        sync: { key: "time", setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
        bind: { dblclick: () => () => zoom(...whole) },
      },
      hooks: {
        drawClear: [(plot) => picture.behind(plot, chart, shared)],
        draw: [(plot) => picture.before(plot, chart, shared)],
        setSelect: [select],
        setCursor: [(plot) => tell(plot, chart)],
      },
    };
  }

  // The worst side of the values is a line; the other one only bounds the shade.
  function side(isWorst) {
    const paths = uPlot.paths.stepped({ align: 1 });
    return { paths, points: { show: false }, width: isWorst ? 1.5 : 0, stroke: isWorst ? () => colour("value") : undefined };
  }

  function axes(chart) {
    const stroke = () => colour("quiet"), font = `${FONT}px system-ui, sans-serif`;
    const grid = { stroke: () => colour("rule"), width: 1 };
    const aboveLanes = (plot, splits) => picture.ticks(plot, chart, splits);
    const values = (plot, splits) => splits.map((split) => (split === null ? "" : number(split, chart.rule.percent)));
    return [
      { stroke, font, grid, ticks: { ...grid, size: 5 }, size: picture.AXIS, space: 70, values: timesOf },
      { stroke, font, grid: { ...grid, filter: aboveLanes }, ticks: { show: false }, size: 64, gap: 6, filter: aboveLanes, values },
    ];
  }

  // Days where ticks are days apart, else times, with the day beneath wherever it is another one.
  function timesOf(plot, splits, axis, space, apart) {
    let before = "";
    return splits.map((split) => {
      const name = day(split), isNew = name !== before, time = clock(split).slice(11, apart < 60 ? 19 : 16);
      before = name;
      if (apart >= DAY_S) return name;
      return isNew ? `${time}\n${name}` : time;
    });
  }

  // ── what the cursor tells ──────────────────────────────────────────────────────────────────────────────────────
  function tell(plot, chart) {
    const { left } = plot.cursor, text = document.createElement("b");
    if (left === undefined || left < 0) return chart.caption.replaceChildren();
    const time = plot.posToVal(left, "x");
    text.textContent = clock(time);
    chart.caption.replaceChildren(text, " UTC  ·  " + [...told(chart, time - shared.start)].join("  ·  "));
  }

  function* told({ rule, raw }, seconds) {
    const near = (view.range[1] - view.range[0]) / 250; // what a few pixels stand for
    const isClose = ([begin, end]) => begin - near <= seconds && seconds < Math.max(end, begin) + near;
    const index = bucketOf(raw[0], shared.start + seconds), least = raw[1][index], most = raw[2][index];
    if (index >= 0 && least !== null) yield [...new Set([number(least, rule.percent), number(most, rule.percent)])].join(" – ");
    if (rule.firing.some(isClose)) yield "firing";
    else if (rule.pending.some(isClose)) yield "pending";
    const unknown = rule.unknown.find(([begin, end]) => begin <= seconds && seconds < end);
    if (unknown) yield `unknown (${unknown[2]})`;
    for (const known of rule.incidents) if (isClose(shared.incidents[known])) yield shared.incidents[known][2];
    for (const act of rule.acts) {
      const step = act.steps.find(([at]) => isClose([at, at]));
      if (step) yield `${act.guard}: ${step[1]} at ${clock(shared.start + step[0]).slice(11)}`;
      else if (isClose([act.to, act.to])) yield `${act.guard}: ${act.end}`;
    }
    const last = shared.deploys[rule.deploys.findLast((known) => shared.deploys[known][0] <= seconds)];
    if (last) yield `${span(seconds - last[0])} after deploy ${last[1]}`.trim();
  }

  // The last bucket that began before a time; -1 where none has.
  function bucketOf(times, time) {
    let low = -1, high = times.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle] <= time) low = middle;
      else high = middle;
    }
    return low;
  }

  // ── zooming ────────────────────────────────────────────────────────────────────────────────────────────────────
  function zoom(from, to) {
    const length = clamp(to - from, NARROWEST_S, shared.length);
    const begin = clamp((from + to - length) / 2, whole[0], whole[1] - length);
    view.range = [begin, begin + length];
    const [first, last] = view.range.map((time) => clock(time).slice(0, 16));
    document.getElementById("range").value = `${first} – ${last} UTC (${span(length)})`;
    for (const figure of seen) if (charts.has(figure)) refresh(charts.get(figure));
  }

  function refresh(chart) {
    if (chart.range === view.range) return;
    chart.range = view.range;
    chart.plot.setScale("x", { min: view.range[0], max: view.range[1] });
  }

  function select(plot) {
    const { left, width } = plot.select;
    if (width < 3) return;
    const from = plot.posToVal(left, "x"), to = plot.posToVal(left + width, "x");
    plot.setSelect({ left: 0, width: 0 }, false);
    zoom(from, to);
  }

  function move(steps) {
    const by = (steps * (view.range[1] - view.range[0])) / 3;
    zoom(view.range[0] + by, view.range[1] + by);
  }

  function stretch(factor, centre = (view.range[0] + view.range[1]) / 2) {
    zoom(centre - (centre - view.range[0]) * factor, centre + (view.range[1] - centre) * factor);
  }

  function bend(button) {
    view.bends = !view.bends;
    button.setAttribute("aria-pressed", view.bends);
    for (const chart of charts.values()) build(chart);
  }

  function onKey(event) {
    const chart = charts.get(event.target);
    if (!chart || event.ctrlKey || event.metaKey || event.altKey) return;
    const { plot } = chart, width = plot.over.clientWidth, step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const here = plot.cursor.left >= 0 ? plot.cursor.left : width / 2;
    if (step && event.shiftKey) move(step);
    else if (step) plot.setCursor({ left: clamp(here + step * Math.max(2, width / 200), 0, width), top: 10 });
    else if (event.key === "+" || event.key === "=") stretch(0.4, plot.posToVal(here, "x"));
    else if (event.key === "-") stretch(2.5, plot.posToVal(here, "x"));
    else if (event.key === "0" || event.key === "Escape") zoom(...whole);
    else return;
    event.preventDefault();
  }

  function onClick({ target }) {
    const link = target.closest("[data-zoom]");
    if (link) {
      const [from, to] = link.dataset.zoom.split(" ").map((seconds) => shared.start + Number(seconds));
      const around = Math.max(900, (to - from) * 2);
      zoom(from - around, to + around);
    }
    const { move: steps, stretch: factor, all, bend: bends } = target.dataset;
    if (steps) move(Number(steps));
    if (factor) stretch(Number(factor));
    if (all !== undefined) zoom(...whole);
    if (bends !== undefined) bend(target);
  }

  // ── the sweep ──────────────────────────────────────────────────────────────────────────────────────────────────
  // Tells which choices are at a point of the drawing, and shows them in the grid, and the other way round.
  const MOST_TOLD = 8;

  function onPoint({ target }) {
    const at = target.closest("[data-place]");
    if (!at) return;
    for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
    const same = document.querySelectorAll(`[data-place="${at.dataset.place}"]`);
    for (const each of same) each.classList.add("lit");
    const told = document.querySelector(`.point[data-place="${at.dataset.place}"] title`).textContent.split("\n");
    const rest = told.length > MOST_TOLD ? [`and ${told.length - MOST_TOLD} more`] : [];
    document.getElementById("told").value = [...told.slice(0, MOST_TOLD), ...rest].join("\n");
  }

  // ── around the charts ──────────────────────────────────────────────────────────────────────────────────────────
  function onView(entries) {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) seen.delete(target);
      else seen.add(target);
      if (isIntersecting && !charts.has(target)) make(target);
      else if (isIntersecting) refresh(charts.get(target));
    }
  }

  function fit() {
    for (const chart of charts.values()) {
      const width = widthOf(chart);
      if (width !== chart.plot.width) chart.plot.setSize({ width, height: chart.height });
    }
  }

  // Where a grid is wider than the page it is to be seen that it goes on.
  function onScroll() {
    for (const grid of document.querySelectorAll(".scroll"))
      grid.classList.toggle("on", grid.scrollLeft + grid.clientWidth < grid.scrollWidth - 1);
  }

  // On paper nothing scrolls into view, and the ground is white.
  function onPrint(begins) {
    document.documentElement.classList.toggle("printing", begins);
    for (const figure of begins ? figures : []) if (!charts.has(figure)) make(figure);
    for (const chart of charts.values()) {
      const width = begins ? Math.min(680, widthOf(chart)) : widthOf(chart);
      refresh(chart);
      chart.plot.setSize({ width, height: chart.height });
      chart.plot.redraw();
    }
  }

  for (const part of document.querySelectorAll(".zoom, .scripted, #rules figure")) part.hidden = false;
  zoom(...whole);
  const watcher = new IntersectionObserver(onView, { rootMargin: "400px 0px" });
  for (const figure of figures) {
    watcher.observe(figure);
    // What is read with the keyboard is spoken; what a mouse passes over is not.
    figure.addEventListener("focus", () => figure.querySelector("figcaption").setAttribute("aria-live", "polite"));
    figure.addEventListener("blur", () => figure.querySelector("figcaption").removeAttribute("aria-live"));
  }
  new ResizeObserver(fit).observe(document.querySelector("main"));
  for (const grid of document.querySelectorAll(".scroll")) {
    grid.addEventListener("scroll", onScroll);
    new ResizeObserver(onScroll).observe(grid);
  }
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", onClick);
  for (const kind of ["pointerover", "focusin"]) document.getElementById("sweep")?.addEventListener(kind, onPoint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.plot.redraw()));
  addEventListener("beforeprint", () => onPrint(true));
  addEventListener("afterprint", () => onPrint(false));
})();
