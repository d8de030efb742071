"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Storage is refused to some pages that are opened from disk.
  const stored = {
    read() { try { return localStorage.getItem("theme"); } catch { return null; } },
    write(theme) { try { localStorage.setItem("theme", theme); } catch { /* lasts as long as the page */ } },
  };
  const asked = stored.read();
  if (asked === "light" || asked === "dark") root.dataset.theme = asked;
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  // Plots name colours of the style sheet; Plotly wants their values.
  function palette() {
    const probe = document.body.appendChild(document.createElement("i"));
    const known = new Map();
    const colour = (name) => {
      if (!known.has(name)) {
        probe.style.color = name;
        known.set(name, getComputedStyle(probe).color);
      }
      return known.get(name);
    };
    const resolved = (value) => {
      if (typeof value === "string") return value.startsWith("var(--") ? colour(value) : value;
      if (Array.isArray(value)) return value.map(resolved);
      if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, resolved(of)]));
      return value;
    };
    return { resolved, done: () => probe.remove() };
  }

  function plots() {
    const { template, figures } = JSON.parse(document.getElementById("figures").textContent);
    const waiting = new Set(all("[data-figure]"));
    const drawn = new Set();
    const draw = (canvases) => {
      const { resolved, done } = palette();
      for (const canvas of canvases) {
        const { data, layout } = figures[canvas.dataset.figure];
        const size = { width: canvas.clientWidth, height: canvas.clientHeight };
        Plotly.react(canvas, resolved(data), resolved({ ...layout, ...size, template }), { displayModeBar: false, scrollZoom: false });
        waiting.delete(canvas);
        drawn.add(canvas);
      }
      done();
    };
    const seen = new IntersectionObserver((entries) => {
      const near = entries.filter((entry) => entry.isIntersecting && waiting.has(entry.target)).map((entry) => entry.target);
      if (near.length) draw(near);
    }, { rootMargin: "600px" });
    waiting.forEach((canvas) => seen.observe(canvas));
    let width = innerWidth;
    let pause;
    addEventListener("resize", () => {
      // On a phone the height changes with every scroll.
      if (innerWidth === width) return;
      width = innerWidth;
      clearTimeout(pause);
      pause = setTimeout(() => draw(drawn), 150);
    });
    return { again: () => draw(drawn), everything: () => draw([...drawn, ...waiting]) };
  }

  function theme(redraw) {
    const button = document.getElementById("theme");
    const say = () => {
      button.setAttribute("aria-label", `Change to the ${dark() ? "light" : "dark"} theme`);
      button.querySelector(".icon").textContent = dark() ? "☀" : "☾";
      button.querySelector(".say").textContent = dark() ? "Light" : "Dark";
    };
    const changed = () => { say(); redraw(); };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      stored.write(root.dataset.theme);
      changed();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
    say();
  }

  function printing(drawing) {
    let before;
    addEventListener("beforeprint", () => {
      before = root.dataset.theme;
      root.dataset.theme = "light";
      root.classList.add("paper");
      drawing.everything();
    });
    addEventListener("afterprint", () => {
      root.classList.remove("paper");
      if (before) root.dataset.theme = before; else delete root.dataset.theme;
      drawing.again();
    });
  }

  function matrix(table) {
    const { labels, counts } = JSON.parse(document.getElementById(table.dataset.counts).textContent);
    const sums = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
    const tip = document.getElementById("tip");
    let lit = [];
    const hide = () => {
      tip.hidden = true;
      lit.forEach((head) => head.classList.remove("lit"));
    };
    const show = (cell) => {
      hide();
      const row = cell.parentElement.rowIndex - 1;
      const column = cell.cellIndex - 1;
      const count = counts[row][column];
      const share = sums[row] ? ` (${(100 * count / sums[row]).toFixed(1)} %)` : "";
      const verb = row === column ? "recognised" : `taken for ${labels[column]}`;
      tip.textContent = `${count.toLocaleString("en")} of ${sums[row].toLocaleString("en")} ${labels[row]} ${verb}${share}`;
      const link = cell.querySelector("a");
      const pair = link && document.getElementById(link.hash.slice(1));
      const pictures = pair ? all(".shots img:first-child", pair).slice(0, 4) : [];
      if (pictures.length) tip.append(document.createElement("br"), ...pictures.map((of) => of.cloneNode()));
      tip.hidden = false;
      const at = cell.getBoundingClientRect();
      const size = tip.getBoundingClientRect();
      tip.style.left = `${Math.max(8, Math.min(at.left + at.width / 2 - size.width / 2, innerWidth - size.width - 8))}px`;
      tip.style.top = `${at.top > size.height + 16 ? at.top - size.height - 8 : at.bottom + 8}px`;
      lit = [table.tHead.rows[0].cells[column + 1], table.rows[row + 1].cells[0]];
      lit.forEach((head) => head.classList.add("lit"));
    };
    const cell = (event) => event.target.closest("td");
    table.addEventListener("mouseover", (event) => (cell(event) ? show(cell(event)) : hide()));
    table.addEventListener("mouseleave", hide);
    table.addEventListener("focusin", (event) => cell(event) && show(cell(event)));
    table.addEventListener("focusout", hide);
    addEventListener("scroll", hide, { passive: true });
    addEventListener("keydown", (event) => event.key === "Escape" && hide());
  }

  function sortable(table) {
    const heads = all("th[data-sort]", table);
    for (const head of heads) {
      head.querySelector("button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => row.cells[head.cellIndex].dataset.value ?? "";
        const order = (a, b) => {
          if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
          const by = head.dataset.sort === "text" ? value(b).localeCompare(value(a)) : value(b) - value(a);
          return down ? by : -by;
        };
        table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
      });
    }
  }

  function place() {
    const links = new Map(all("header.bar nav a").map((link) => [link.hash.slice(1), link]));
    const mark = () => {
      const past = all("main > section[id]").filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
      const here = past.length ? past[past.length - 1].id : "verdict";
      for (const [id, link] of links) {
        if (id !== here) { link.removeAttribute("aria-current"); continue; }
        if (link.hasAttribute("aria-current")) continue;
        link.setAttribute("aria-current", "true");
        const bar = link.closest("nav");
        bar.scrollLeft = link.offsetLeft - bar.offsetLeft - (bar.clientWidth - link.clientWidth) / 2;
      }
    };
    addEventListener("scroll", mark, { passive: true });
    mark();
  }

  function copying(button) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.closest(".command").querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  addEventListener("DOMContentLoaded", () => {
    const drawing = window.Plotly ? plots() : { again() {}, everything() {} };
    theme(drawing.again);
    printing(drawing);
    all("table[data-counts]").forEach(matrix);
    all("table.sortable").forEach(sortable);
    all("button[data-copy]").forEach(copying);
    place();
  });
})();
