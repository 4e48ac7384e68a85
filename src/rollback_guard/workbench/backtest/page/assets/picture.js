// What a chart of a rule shows: numbers and times in words, and everything on the canvas but line and axes.
// Times are Unix seconds; what comes packed counts from the beginning of the time that was played.
"use strict";
const picture = (() => {
  const FONT = 12, TOP = 20, AXIS = 40, LANE = 18, GAP = 9; // CSS pixels
  const FAR = 8; // times the threshold: from here on a common scale shows only the highest values
  const view = { range: [0, 1], bends: true }; // what of the time is shown; whether far values are drawn closer together

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

  // ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────
  function number(value, percent) {
    if (typeof value !== "number") return String(value);
    if (percent) return +(value * 100).toPrecision(3) + "%";
    return String(+value.toPrecision(Math.abs(value) >= 1000 ? 7 : 4));
  }

  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");

  const day = (seconds) =>
    new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

  function span(seconds) {
    const parts = [];
    let rest = Math.max(1, Math.round(seconds));
    for (const [unit, size] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
      if (rest >= size) parts.push(Math.floor(rest / size) + unit);
      rest %= size;
    }
    return parts.slice(0, 2).join("");
  }

  // ── values and their scale ─────────────────────────────────────────────────────────────────────────────────────
  // The values of each bucket, or of each slot where they are known, hold from its beginning to the next one, or end
  // where nothing is known for long.
  function values(rule, start, length) {
    const times = [], low = [], high = [], slots = new Map(rule.slots.map(([bucket, ...found]) => [bucket, found]));
    const add = (time, least, most) => [times.push(time), low.push(least), high.push(most)];
    rule.at.forEach((bucket, index) => {
      const begin = start + bucket * rule.step, next = rule.at[index + 1], [first, known] = slots.get(bucket) || [];
      if (known) known.forEach((value, slot) => add(start + first + slot * rule.interval, value, value));
      else add(begin, rule.low[index], (rule.high || rule.low)[index]);
      if (next !== undefined && (next - bucket) * rule.step <= rule.gap) return;
      add(begin + rule.step, low.at(-1), high.at(-1));
      add(begin + rule.step + 1, null, null);
    });
    return times.length ? [times, low, high] : [[start, start + length], [null, null], [null, null]];
  }

  // The lowest and the highest value in view.
  function extent({ rule, drawn: [times, low, high] }) {
    let [least, most] = rule.threshold === null ? [Infinity, -Infinity] : [rule.threshold, rule.threshold];
    for (let index = 0; index < times.length; index++) {
      const isBefore = index + 1 < times.length && times[index + 1] < view.range[0];
      if (isBefore || times[index] > view.range[1]) continue;
      if (low[index] !== null) least = Math.min(least, low[index]);
      if (high[index] !== null) most = Math.max(most, high[index]);
    }
    if (!(least <= most)) return [0, 1];
    const spread = most - least || Math.abs(most) || 1;
    return [least >= 0 && least < most * 0.6 ? 0 : least - spread * 0.06, most + spread * 0.08];
  }

  // A chart is bent where its values lie far apart: what is near the threshold is what people want to see.
  const isBent = ({ rule, drawn }) => view.bends && rule.threshold > 0 && drawn[2].some((value) => value > FAR * rule.threshold);

  // Up to here values of a bent chart are drawn as they are: well below the threshold.
  const plain = (rule) => rule.threshold / 10;

  // Ticks of a bent scale are so many that only round ones are named, and none that would hide another.
  function ticks(plot, chart, splits) {
    let taken = Infinity;
    return splits.map((split) => {
      if (chart.flat || split < chart.floor) return null;
      const place = plot.valToPos(split, "y"), isRound = !chart.bent || !split || /^[125]/.test(split.toExponential());
      if (!isRound || taken - place < FONT + 4) return null;
      taken = place;
      return split;
    });
  }

  // Beneath the values is room for the lanes, on the same scale, so that the cursor crosses them too.
  function scale(chart) {
    if (chart.flat) return [-1, 0];
    const [low, high] = extent(chart), lanes = chart.lanes.length * LANE + GAP, share = lanes / (chart.height - TOP - AXIS - lanes);
    chart.floor = low;
    if (!chart.bent) return [low - (high - low) * share, high];
    const unit = plain(chart.rule), lowest = Math.asinh(low / unit), highest = Math.asinh(high / unit);
    return [Math.sinh(lowest - (highest - lowest) * share) * unit, high];
  }

  const lanes = (rule) => ["state", ...(rule.incidents.length ? ["incidents"] : []), ...(rule.acts.length ? ["guard"] : [])];

  const height = (chart) => TOP + AXIS + GAP + chart.lanes.length * LANE + (chart.flat ? 0 : 200);

  // ── the canvas ─────────────────────────────────────────────────────────────────────────────────────────────────
  // All that the functions below need to know of where they draw; sizes are in pixels of the canvas.
  function easel(plot, chart, shared) {
    const { ctx, bbox } = plot, px = uPlot.pxRatio, right = bbox.left + bbox.width;
    const floor = chart.flat ? bbox.top : plot.valToPos(chart.floor, "y", true);
    const x = (seconds) => plot.valToPos(shared.start + seconds, "x", true);
    const isShown = (begin, end) => shared.start + end >= view.range[0] && shared.start + begin <= view.range[1];
    const lane = (name) => floor + (GAP + chart.lanes.indexOf(name) * LANE) * px;
    const y = (value) => plot.valToPos(value, "y", true);
    function box(begin, end, top, tall, narrowest) {
      const from = clamp(x(begin), bbox.left, right), to = Math.max(clamp(x(end), bbox.left, right), from + narrowest * px);
      ctx.fillRect(from, top, to - from, tall);
      return to;
    }
    return { ctx, bbox, px, right, floor, bottom: bbox.top + bbox.height, x, y, isShown, lane, box, rule: chart.rule, chart, shared };
  }

  function hatch({ ctx, px }) {
    const tile = document.createElement("canvas"), brush = tile.getContext("2d");
    tile.width = tile.height = Math.round(6 * px);
    brush.strokeStyle = colour("blind");
    brush.lineWidth = px;
    for (const shift of [-1, 0, 1]) {
      brush.moveTo(shift * tile.width, tile.height);
      brush.lineTo((shift + 1) * tile.width, 0);
    }
    brush.stroke();
    return ctx.createPattern(tile, "repeat");
  }

  function line({ ctx }, fromX, fromY, toX, toY) {
    ctx.beginPath();
    ctx.moveTo(fromX, fromY);
    ctx.lineTo(toX, toY);
    ctx.stroke();
  }

  function diamond({ ctx }, x, y, size) {
    ctx.beginPath();
    for (const [right, down] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) ctx.lineTo(x + right * size, y + down * size);
    ctx.fill();
  }

  function width({ ctx, px }, text) {
    ctx.font = `${FONT * px}px system-ui, sans-serif`;
    return ctx.measureText(text).width;
  }

  // Text with an edge in the colour of the ground, so that it can be read over anything.
  function label(on, text, x, y, align = "left") {
    const { ctx, px } = on, wide = width(on, text);
    ctx.textAlign = align;
    ctx.textBaseline = "alphabetic";
    ctx.strokeStyle = colour("ground");
    ctx.lineWidth = 3 * px;
    ctx.lineJoin = "round";
    ctx.strokeText(text, x, y);
    ctx.fillText(text, x, y);
    return wide;
  }

  // ── layers, from the back to the front ─────────────────────────────────────────────────────────────────────────
  function ground(on) {
    const { ctx, bbox, floor, rule, y, isShown, box } = on, tall = floor - bbox.top;
    if (rule.threshold !== null && /[<>]/.test(rule.op) && tall) {
      const limit = y(rule.threshold), isAbove = rule.op.startsWith(">");
      ctx.fillStyle = colour("tint");
      ctx.fillRect(bbox.left, isAbove ? bbox.top : limit, bbox.width, isAbove ? limit - bbox.top : floor - limit);
    }
    const blind = hatch(on);
    for (const [begin, end, , isIdle] of rule.unknown) {
      ctx.globalAlpha = isIdle ? 0.6 : 0.45;
      ctx.fillStyle = isIdle ? colour("idle") : blind;
      if (isShown(begin, end)) box(begin, end, bbox.top, tall, 0.5);
    }
    ctx.globalAlpha = 1;
    for (const state of ["pending", "firing"]) {
      ctx.fillStyle = colour(state + "-tint");
      for (const [begin, end] of rule[state]) if (isShown(begin, end)) box(begin, end, bbox.top, tall, 1);
    }
  }

  function threshold(on) {
    const { ctx, bbox, px, right, rule, y, chart } = on;
    if (rule.threshold === null || chart.flat) return;
    const place = y(rule.threshold);
    ctx.strokeStyle = ctx.fillStyle = colour("limit");
    ctx.lineWidth = 1.5 * px;
    ctx.setLineDash([6 * px, 4 * px]);
    line(on, bbox.left, place, right, place);
    ctx.setLineDash([]);
    label(on, rule.op + " " + number(rule.threshold, rule.percent), right - 4 * px, place - 5 * px, "right");
  }

  function states(on) {
    const { ctx, bbox, px, floor, bottom, rule, isShown, lane, box } = on, blind = hatch(on), tall = (LANE - 4) * px;
    ctx.fillStyle = colour("panel");
    ctx.fillRect(bbox.left, floor + (GAP - 4) * px, bbox.width, bottom - floor);
    const draw = ([begin, end], fill, lower) => {
      ctx.fillStyle = fill;
      if (isShown(begin, end)) box(begin, end, lane("state") + lower, tall - lower, 2);
    };
    for (const unknown of rule.unknown) draw(unknown, unknown[3] ? colour("idle") : blind, 0);
    for (const piece of rule.pending) draw(piece, colour("pending"), tall / 2);
    for (const piece of rule.firing) draw(piece, colour("firing"), 0);
  }

  function incidents(on) {
    const { px, rule, right, shared, isShown, lane, box, x } = on, tall = (LANE - 10) * px;
    rule.incidents.forEach((number, index) => {
      const [begin, end, name] = shared.incidents[number], next = shared.incidents[rule.incidents[index + 1]];
      if (!isShown(begin, end)) return;
      on.ctx.fillStyle = colour("incident");
      const to = box(begin, end, lane("incidents") + 3 * px, tall, 3) + 5 * px;
      if (to + width(on, name) < (next ? Math.min(x(next[0]), right) : right)) label(on, name, to, lane("incidents") + 11 * px);
    });
  }

  // A line as long as each incident of the guard, a diamond for each action, and how it ended; in words where is room.
  function acts(on) {
    const { ctx, px, rule, right, x, isShown, lane, box } = on, middle = lane("guard") + (LANE / 2 - 2) * px, marks = [];
    ctx.fillStyle = ctx.strokeStyle = colour("act");
    ctx.lineWidth = 1.5 * px;
    for (const act of rule.acts) {
      if (!isShown(act.from, act.to)) continue;
      box(act.from, act.to, middle - px / 2, px, 1);
      line(on, x(act.to), middle - 4.5 * px, x(act.to), middle + 4.5 * px);
      act.steps.forEach(([time, action], step) => marks.push([x(time), [(step ? "else " : "") + action], true]));
      const all = [...act.steps.map(([, action]) => action).slice(0, 1), act.end].join(", ");
      marks.push([x(act.to), x(act.to) - x(act.from) < LANE * px ? [all, act.end] : [act.end], false]);
    }
    marks.sort(([one], [other]) => one - other).forEach(([place, texts, isAction], index) => {
      const room = (index + 1 < marks.length ? marks[index + 1][0] : right) - place;
      ctx.fillStyle = colour("act");
      if (isAction) diamond(on, place, middle, 5 * px);
      const text = texts.find((each) => width(on, each) + 16 * px < room);
      if (text) label(on, text, place + 8 * px, middle + 4 * px);
    });
  }

  function deploys(on) {
    const { ctx, bbox, px, right, floor, bottom, rule, x, isShown, chart, shared } = on;
    const shown = rule.deploys.map((index) => shared.deploys[index]).filter(([time]) => isShown(time, time));
    let taken = bbox.left;
    shown.forEach(([time, version], index) => {
      const place = x(time), next = index + 1 < shown.length ? x(shown[index + 1][0]) - 6 * px : right;
      ctx.strokeStyle = ctx.fillStyle = colour("deploy");
      ctx.lineWidth = px;
      ctx.setLineDash([3 * px, 3 * px]);
      line(on, place, bbox.top - 4 * px, place, chart.flat ? bottom : floor);
      ctx.setLineDash([]);
      diamond(on, place, bbox.top - 6 * px, 4 * px);
      const name = version || "deploy", room = width(on, name) + 9 * px;
      if (place + room <= next) label(on, name, place + 7 * px, bbox.top - 3 * px);
      else if (place - room > taken) label(on, name, place - 7 * px, bbox.top - 3 * px, "right");
      taken = place + (place + room <= next ? room : 6 * px);
    });
  }

  function within(on, draw) {
    const { ctx, bbox, px, bottom } = on;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top - TOP * px, bbox.width, bottom - bbox.top + TOP * px);
    ctx.clip();
    draw();
    ctx.restore();
  }

  function behind(plot, chart, shared) {
    const on = easel(plot, chart, shared);
    within(on, () => ground(on));
  }

  function before(plot, chart, shared) {
    const on = easel(plot, chart, shared);
    within(on, () => {
      states(on);
      threshold(on);
      incidents(on);
      if (chart.lanes.includes("guard")) acts(on);
      deploys(on);
    });
    on.ctx.fillStyle = colour("quiet");
    for (const name of chart.lanes) label(on, name, on.bbox.left - 8 * on.px, on.lane(name) + (LANE - 7) * on.px, "right");
  }

  return { view, colour, clamp, number, clock, day, span, values, isBent, plain, ticks, scale, lanes, height, behind, before, FONT, TOP, AXIS };
})();
