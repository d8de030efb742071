"use strict";
(() => {
  const { key, none, classes, typical, suspects } = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  // Texts of the data go into the page as text alone.
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") node.addEventListener(name, value);
      else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  };
  const shot = (picture, alt, className) => picture
    ? make("img", { src: `data:image/jpeg;base64,${picture}`, alt, class: className, decoding: "async" })
    : make("span", { class: "blank" }, "no picture");
  const shown = (name) => (name === none ? "not a product" : name);

  // Storage is refused to some pages that are opened from disk: then decisions last as long as the page.
  const stored = {
    read() { try { return JSON.parse(localStorage.getItem(key)) || {}; } catch { return {}; } },
    write(value) { try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* see above */ } },
  };
  const kept = stored.read();
  const known = new Set(suspects.map((suspect) => suspect.id));
  const decisions = (kept.decisions || []).filter((made) => known.has(made.id)); // in the order in which they were made
  const latest = new Map(decisions.map((made) => [made.id, made]));
  at("by").value = kept.by || "";
  const save = () => stored.write({ decisions, by: at("by").value });
  at("by").addEventListener("change", save);

  const groups = new Map();
  suspects.forEach((suspect, index) => {
    const name = `${suspect.label} → ${shown(suspect.suggestion)}`;
    groups.set(name, [...(groups.get(name) || []), index]);
  });
  const order = [...groups.values()].flat();
  const groupOf = new Map([...groups].flatMap(([name, members]) => members.map((index) => [index, name])));
  let place = Math.max(0, order.findIndex((index) => !latest.has(suspects[index].id)));
  let drawn = null; // the group whose products are listed

  const word = (suspect) => {
    const made = latest.get(suspect.id);
    return made ? (made.new === suspect.label ? "✓ kept" : `→ ${shown(made.new)}`) : "";
  };

  function status() {
    at("progress").value = latest.size;
    at("count").textContent = `${latest.size.toLocaleString("en")} of ${suspects.length.toLocaleString("en")} decided`;
    const here = groupOf.get(order[place]);
    at("groups").replaceChildren(...[...groups].map(([name, members]) => {
      const left = members.filter((index) => !latest.has(suspects[index].id)).length;
      return make("button", { type: "button", "aria-current": name === here && "true", click: () => open(name) }, name,
        make("span", { class: "muted" }, left ? String(left) : "✓"));
    }));
  }

  function list() {
    const name = groupOf.get(order[place]);
    if (drawn !== name) {
      drawn = name;
      at("rest").replaceChildren(...groups.get(name).map((index) => make("li", {},
        make("button", { type: "button", "data-index": index, click: () => go(order.indexOf(index)) },
          shot(suspects[index].picture, suspects[index].name || suspects[index].id), make("span")))));
    }
    for (const button of at("rest").querySelectorAll("button")) {
      const index = Number(button.dataset.index);
      button.lastChild.textContent = word(suspects[index]);
      if (index === order[place]) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
    }
  }

  function card() {
    const suspect = suspects[order[place]];
    const action = (letter, text, act, className) =>
      make("button", { type: "button", class: className, click: act }, `${text} `, make("kbd", {}, letter));
    const other = make("select", { id: "other", "aria-label": "Another class" },
      make("option", { value: "" }, "another class …"),
      ...classes.map((name) => make("option", { value: name }, name)));
    const look = (name) => make("figure", {}, make("figcaption", { class: "muted small" }, `${name} look like this`),
      ...(typical[name] || []).map((picture) => shot(picture, `A typical product of ${name}`)));
    at("card").replaceChildren(
      shot(suspect.picture, `Product ${suspect.id}: ${suspect.name}`, "shot"),
      make("div", {},
        make("h2", { class: "name" }, suspect.name || "(no name)"),
        make("p", { class: "muted" }, `${suspect.id} · ${suspect.split} · ${place + 1} of ${order.length}`),
        make("p", { class: "change" }, "Labelled ", make("strong", {}, suspect.label), ", seems to be ",
          make("strong", {}, shown(suspect.suggestion)), suspect.sure ? ` (${Math.round(100 * suspect.sure)} %)` : ""),
        make("ul", { class: "reasons" }, ...suspect.reasons.map((reason) => make("li", {}, reason))),
        make("p", { class: "word good", id: "decided" }, word(suspect)),
        make("div", { class: "actions" },
          action("T", `Take ${shown(suspect.suggestion)}`, () => decide(suspect.suggestion), "take"),
          action("K", `Keep ${suspect.label}`, () => decide(suspect.label)),
          suspect.suggestion === none ? "" : action("N", "Not a product", () => decide(none)),
          make("label", {}, make("kbd", {}, "C"), " ", other),
          make("button", { type: "button", click: () => other.value && decide(other.value) }, "Choose"),
          action("U", "Undo", undo))),
      make("div", { class: "like" }, look(suspect.label), suspect.suggestion === none ? "" : look(suspect.suggestion)));
    other.addEventListener("keydown", (event) => event.key === "Enter" && other.value && decide(other.value));
  }

  function show(focus = true) {
    status();
    if (!order.length) return;
    card();
    list();
    if (focus) at("card").focus({ preventScroll: true });
  }
  const go = (to) => { place = Math.min(order.length - 1, Math.max(0, to)); show(); };
  const open = (name) => {
    const members = groups.get(name);
    go(order.indexOf(members.find((index) => !latest.has(suspects[index].id)) ?? members[0]));
  };

  function decide(name) {
    const suspect = suspects[order[place]];
    const made = { id: suspect.id, new: name, when: new Date().toISOString() };
    decisions.push(made);
    latest.set(suspect.id, made);
    save();
    const next = [...order.keys()].map((step) => (place + 1 + step) % order.length)
      .find((to) => !latest.has(suspects[order[to]].id));
    go(next ?? place);
  }

  function undo() {
    const made = decisions.pop();
    if (!made) return;
    const before = decisions.findLast((other) => other.id === made.id);
    if (before) latest.set(made.id, before); else latest.delete(made.id);
    save();
    go(order.findIndex((index) => suspects[index].id === made.id));
  }

  // As the pipeline's own files: what a spreadsheet would run as a formula is marked as text.
  const cell = (text) => {
    const safe = /^'*[=+@\t\r\n\uff1d\uff0b\uff0d\uff20-]/.test(text) && !/^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };

  function exported() {
    const by = at("by").value.trim();
    const lines = suspects.filter((suspect) => latest.has(suspect.id)).map((suspect) => {
      const made = latest.get(suspect.id);
      const reason = made.new === suspect.label ? "kept" : made.new === suspect.suggestion ? suspect.reasons.join("; ") : "chosen";
      return [suspect.id, suspect.label, made.new, by, made.when, reason];
    });
    return [["id", "old", "new", "by", "when", "reason"], ...lines].map((line) => line.map(cell).join(",")).join("\n") + "\n";
  }

  at("export").addEventListener("click", () => {
    const link = make("a", { href: URL.createObjectURL(new Blob([exported()], { type: "text/csv" })), download: "corrections.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  const keys = {
    k: () => decide(suspects[order[place]].label),
    t: () => decide(suspects[order[place]].suggestion),
    enter: () => decide(suspects[order[place]].suggestion),
    n: () => decide(none),
    c: () => at("other").focus(),
    u: undo,
    arrowleft: () => go(place - 1),
    arrowright: () => go(place + 1),
  };
  addEventListener("keydown", (event) => {
    const act = keys[event.key.toLowerCase()];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || !order.length) return;
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "Enter" && event.target.closest("a, button")) return; // which it presses
    event.preventDefault();
    act();
  });
  show(false);
})();
