"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);
  const canvas = element("map"), pen = canvas.getContext("2d");
  const films = data.case_id.length;
  const reach = films > 1500 ? 4 : films > 400 ? 5 : 6; // radius of a mark in CSS pixels
  const view = { x: 0, y: 0, zoom: 1 };
  const hidden = data.colorings.map(() => new Set());
  let coloring = 0, current = -1, pinned = [], matches = null, sprites = [], waiting = false;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const lighter = { "#0072B2": "#4ba3e3", "#009E73": "#25c795", "#D55E00": "#ff8a3d" };
  const visible = (color) => (dark.matches && lighter[color]) || color;

  // Where films lie on the screen.
  const half = (values) => Math.max(0.02, ...values.map(Math.abs)); // the map is centered
  const halfX = half(data.x), halfY = half(data.y);
  const fitted = () => Math.min(canvas.clientWidth / halfX, canvas.clientHeight / halfY);
  const unit = () => 0.46 * fitted() * view.zoom;
  const toX = (i) => canvas.clientWidth / 2 + (data.x[i] - view.x) * unit();
  const toY = (i) => canvas.clientHeight / 2 - (data.y[i] - view.y) * unit();
  const group = (i) => data.colorings[coloring].of[i];
  const shown = (i) => !hidden[coloring].has(group(i));
  const radius = () => reach * Math.min(2, Math.max(1, Math.sqrt(view.zoom) * 0.9));
  const background = () => getComputedStyle(canvas).backgroundColor;

  function mark(to, kind, x, y, r, color) {
    to.beginPath();
    const corners = { triangle: [3, -90], down: [3, 90], square: [4, 45], diamond: [4, 0] }[kind];
    if (corners) {
      const [count, turn] = corners;
      for (let n = 0; n < count; n++) {
        const angle = ((360 / count) * n + turn) * Math.PI / 180;
        to.lineTo(x + 1.2 * r * Math.cos(angle), y + 1.2 * r * Math.sin(angle));
      }
      to.closePath();
    } else if (kind === "cross" || kind === "plus") {
      const a = kind === "cross" ? 0.8 * r : 0, b = kind === "cross" ? 0.8 * r : 1.1 * r;
      to.moveTo(x - b, y - a); to.lineTo(x + b, y + a);
      to.moveTo(x + a, y - b); to.lineTo(x - a, y + b);
    } else to.arc(x, y, kind === "dot" ? 0.55 * r : kind === "ring" ? 0.85 * r : r, 0, 7);
    const lines = kind === "cross" || kind === "plus" || kind === "ring";
    if (!lines) { to.fillStyle = color; to.fill(); }
    to.lineWidth = lines ? 2.2 : 1;
    to.strokeStyle = lines ? color : background();
    to.stroke();
  }

  function sprite(one) {
    const scale = devicePixelRatio || 1, side = Math.ceil(2 * (1.3 * radius() + 3));
    const small = document.createElement("canvas");
    small.width = small.height = side * scale;
    const to = small.getContext("2d");
    to.scale(scale, scale);
    mark(to, one.mark, side / 2, side / 2, radius(), visible(one.color));
    return { small, side };
  }

  function draw() {
    waiting = false;
    const scale = devicePixelRatio || 1, wide = canvas.clientWidth, high = canvas.clientHeight;
    if (canvas.width !== Math.round(wide * scale) || canvas.height !== Math.round(high * scale)) {
      canvas.width = Math.round(wide * scale);
      canvas.height = Math.round(high * scale);
    }
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, wide, high);
    const groups = data.colorings[coloring].groups;
    sprites = groups.map(sprite);
    const order = groups.map((_, n) => n).sort((a, b) => groups[b].films - groups[a].films);
    const members = groups.map(() => []);
    for (let i = 0; i < films; i++) if (shown(i)) members[group(i)].push(i);
    for (const n of order) for (const i of members[n]) {
      const { small, side } = sprites[n];
      pen.globalAlpha = matches && !matches.has(i) ? 0.1 : 0.9;
      pen.drawImage(small, toX(i) - side / 2, toY(i) - side / 2, side, side);
    }
    pen.globalAlpha = 1;
    const ink = getComputedStyle(document.body).color;
    pinned.forEach((i, n) => circle(i, ink, 2, String(n + 1)));
    if (current >= 0) circle(current, ink, 3, "");
  }

  function circle(i, ink, width, words) {
    pen.beginPath();
    pen.arc(toX(i), toY(i), radius() + 5, 0, 7);
    pen.lineWidth = width; pen.strokeStyle = ink; pen.stroke();
    if (!words) return;
    pen.font = "bold 13px system-ui, sans-serif";
    pen.lineWidth = 4; pen.strokeStyle = background(); pen.fillStyle = ink;
    pen.strokeText(words, toX(i) + radius() + 7, toY(i) - radius() - 1);
    pen.fillText(words, toX(i) + radius() + 7, toY(i) - radius() - 1);
  }

  function later() {
    if (!waiting) { waiting = true; requestAnimationFrame(draw); }
  }

  // What is said of a film.
  const word = (column, i) => data.columns[column].values[data.columns[column].of[i]];
  function facts(i) {
    const truth = data.truth[i] === null ? "unknown" : data.truth[i] ? "present" : "absent";
    const standard = word("reference_standard", i), source = word("source", i);
    const cohort = word("cohort", i);
    const rows = [
      ["score", `${data.score[i].toFixed(3)}: called ${data.present[i] ? "present" : "absent"}`],
      ["reference", `${data.label} ${truth}${standard ? ` (${standard})` : ""}`],
      ["source", source && source !== cohort ? `${cohort}, ${source}` : cohort],
    ];
    for (const key of ["finding", "view", "sex", "split"]) {
      if (word(key, i)) rows.push([key, word(key, i)]);
    }
    return rows;
  }

  function card(i, number) {
    const box = document.createElement("div");
    if (data.pictures.length) {
      const picture = new Image();
      picture.src = `data:image/jpeg;base64,${data.pictures[i]}`;
      picture.alt = `small picture of ${data.case_id[i]}`;
      box.append(picture);
    }
    const words = document.createElement("div"), name = document.createElement("b");
    name.textContent = (number ? `${number}. ` : "") + data.case_id[i];
    const list = document.createElement("dl");
    for (const [key, value] of facts(i)) {
      for (const [kind, text] of [["dt", key], ["dd", value]]) {
        const part = document.createElement(kind);
        part.textContent = text;
        list.append(part);
      }
    }
    words.append(name, list);
    box.append(words);
    return box;
  }

  function look(i, say) {
    if (i === current && !say) return;
    current = i;
    const tip = element("tip");
    tip.hidden = i < 0;
    if (i >= 0) {
      tip.replaceChildren(card(i));
      place(tip, i);
      if (say) {
        const said = facts(i).map((row) => row.join(" ")).join(", ");
        element("status").textContent = `${data.case_id[i]}: ${said}`;
      }
    }
    later();
  }

  function place(tip, i) {
    const x = toX(i), y = toY(i), gap = 14;
    const right = x + gap + tip.offsetWidth < canvas.clientWidth;
    const left = right ? x + gap : x - gap - tip.offsetWidth;
    const top = Math.min(y - 20, canvas.clientHeight - tip.offsetHeight - 4);
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, top)}px`;
  }

  function nearest(x, y, most) {
    let best = -1, least = most * most;
    for (let i = 0; i < films; i++) {
      if (!shown(i)) continue;
      const far = (toX(i) - x) ** 2 + (toY(i) - y) ** 2;
      if (far < least) { least = far; best = i; }
    }
    return best;
  }

  // The nearest film in a direction; what lies aside counts double.
  function step(dx, dy) {
    if (current < 0) return nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, 1e9);
    let best = current, least = Infinity;
    for (let i = 0; i < films; i++) {
      if (i === current || !shown(i)) continue;
      const x = toX(i) - toX(current), y = toY(i) - toY(current);
      const along = x * dx + y * dy, aside = Math.abs(x * dy - y * dx);
      if (along > 0.5 && along + 2 * aside < least) {
        least = along + 2 * aside; best = i;
      }
    }
    return best;
  }

  function pin(i) {
    pinned = pinned.includes(i) ? pinned.filter((one) => one !== i) : [...pinned, i];
    remember();
    list();
  }

  function list() {
    const cards = pinned.map((i, n) => {
      const box = card(i, n + 1), off = document.createElement("button");
      off.textContent = "unpin";
      off.setAttribute("aria-label", `unpin ${data.case_id[i]}`);
      off.addEventListener("click", () => pin(i));
      box.className = "pin";
      box.lastChild.append(off);
      return box;
    });
    element("pins").replaceChildren(...cards);
    element("nopins").hidden = pinned.length > 0;
    later();
  }

  // The address names the coloring and the pinned films: #color=cohort&case=ID&case=ID
  function remember() {
    const words = new URLSearchParams();
    words.append("color", data.colorings[coloring].key);
    for (const i of pinned) words.append("case", data.case_id[i]);
    history.replaceState(null, "", `#${words}`);
  }

  function recall() {
    const words = new URLSearchParams(location.hash.slice(1));
    const asked = data.colorings.findIndex((one) => one.key === words.get("color"));
    if (asked >= 0) coloring = asked;
    pinned = words.getAll("case").map((id) => data.case_id.indexOf(id)).filter((i) => i >= 0);
    element("color").value = String(coloring);
    legend();
    list();
    if (pinned.length) look(pinned[pinned.length - 1], true);
  }

  function legend() {
    const buttons = data.colorings[coloring].groups.map((one, n) => {
      const button = document.createElement("button"), icon = document.createElement("canvas");
      const scale = devicePixelRatio || 1;
      icon.width = icon.height = 18 * scale;
      icon.getContext("2d").scale(scale, scale);
      mark(icon.getContext("2d"), one.mark, 9, 9, 6, visible(one.color));
      const count = document.createElement("span");
      count.textContent = one.films.toLocaleString("en");
      const name = document.createElement("span");
      name.textContent = one.name;
      button.append(icon, name, count);
      button.setAttribute("aria-pressed", String(!hidden[coloring].has(n)));
      button.addEventListener("click", () => {
        const off = hidden[coloring];
        if (!off.delete(n)) off.add(n);
        button.setAttribute("aria-pressed", String(!off.has(n)));
        if (current >= 0 && !shown(current)) look(-1);
        later();
      });
      return button;
    });
    element("legend").replaceChildren(...buttons);
    later();
  }

  function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    const before = unit();
    view.zoom = Math.min(60, Math.max(0.5, view.zoom * factor));
    const moved = 1 / before - 1 / unit();
    view.x += (x - canvas.clientWidth / 2) * moved;
    view.y -= (y - canvas.clientHeight / 2) * moved;
    follow();
  }

  function pan(dx, dy) {
    view.x -= dx / unit();
    view.y += dy / unit();
    follow();
  }

  function whole() {
    Object.assign(view, { x: 0, y: 0, zoom: 1 });
    follow();
  }

  function follow() {
    if (current >= 0) place(element("tip"), current);
    later();
  }

  function search(text) {
    const wanted = text.trim().toLowerCase();
    matches = null;
    if (wanted) {
      matches = new Set();
      data.case_id.forEach((id, i) => id.toLowerCase().includes(wanted) && matches.add(i));
    }
    element("found").textContent = matches ? `${matches.size} of ${films} films` : "";
    later();
  }

  // Mouse, pen and touch.
  let from = null, dragged = false;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    from = at(event); dragged = false;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (!from) return look(nearest(x, y, 14));
    if (dragged || Math.hypot(x - from[0], y - from[1]) > 4) {
      dragged = true;
      pan(x - from[0], y - from[1]);
      from = [x, y];
    }
    return undefined;
  });
  canvas.addEventListener("pointerup", (event) => {
    const hit = nearest(...at(event), 14);
    if (from && !dragged && hit >= 0) { look(hit, true); pin(hit); }
    from = null;
  });
  canvas.addEventListener("pointercancel", () => { from = null; });
  canvas.addEventListener("pointerleave", () => { if (!from) look(-1); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...at(event));
  }, { passive: false });

  // Keys.
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = ways[event.key];
    if (way && event.shiftKey) pan(-60 * way[0], -60 * way[1]);
    else if (way) look(step(...way), true);
    else if (event.key === "+" || event.key === "=") zoom(1.4);
    else if (event.key === "-") zoom(1 / 1.4);
    else if (event.key === "0") whole();
    else if ((event.key === "Enter" || event.key === " ") && current >= 0) pin(current);
    else if (event.key === "Escape") look(-1);
    else return;
    event.preventDefault();
  });

  data.colorings.forEach((one, n) => element("color").add(new Option(one.title, String(n))));
  element("color").addEventListener("change", (event) => {
    coloring = Number(event.target.value);
    remember();
    legend();
  });
  element("search").addEventListener("input", (event) => search(event.target.value));
  element("search").addEventListener("keydown", (event) => {
    const first = matches && matches.values().next().value;
    if (event.key !== "Enter" || first === undefined || first === null) return;
    Object.assign(view, { x: data.x[first], y: data.y[first], zoom: Math.max(view.zoom, 3) });
    if (!pinned.includes(first)) pin(first);
    look(first, true);
  });
  element("closer").addEventListener("click", () => zoom(1.4));
  element("farther").addEventListener("click", () => zoom(1 / 1.4));
  element("whole").addEventListener("click", whole);
  dark.addEventListener("change", legend);
  addEventListener("hashchange", recall);
  new ResizeObserver(() => { draw(); follow(); }).observe(canvas);
  recall();
})();
