"use strict";
// The charts are complete without this script, which adds tooltips and choices. Without it the tables say the same.
(() => {
  const tip = document.getElementById("tip");

  const place = (event) => {
    const gap = 14, box = tip.getBoundingClientRect();
    const left = event.clientX + gap + box.width > innerWidth ? event.clientX - gap - box.width : event.clientX + gap;
    const top = event.clientY + gap + box.height > innerHeight ? event.clientY - gap - box.height : event.clientY + gap;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, top) + "px";
  };
  const show = (event, lines) => {
    tip.replaceChildren(...lines.map((line) => {
      const row = document.createElement("div");
      row.textContent = line;
      return row;
    }));
    tip.hidden = false;
    place(event);
  };
  const hide = () => { tip.hidden = true; };

  // Dots: their tooltip is in <title>, which a browser shows late, and on touch screens never.
  for (const mark of document.querySelectorAll(".strips .dot, .strips .mean")) {
    const title = mark.querySelector("title");
    mark.setAttribute("aria-label", title.textContent);
    mark.dataset.tip = title.textContent;
    title.remove();
  }
  for (const chart of document.querySelectorAll(".strips")) {
    const nearest = (event) => {
      let found = null, least = 18;
      for (const mark of chart.querySelectorAll("[data-tip]")) {
        const box = mark.getBoundingClientRect();
        const dx = Math.max(box.left - event.clientX, 0, event.clientX - box.right);
        const dy = Math.max(box.top - event.clientY, 0, event.clientY - box.bottom);
        const far = Math.hypot(dx, dy) + (mark.classList.contains("mean") ? 1 : 0);
        if (far < least) { found = mark; least = far; }
      }
      if (found) show(event, [found.dataset.tip]); else hide();
    };
    chart.addEventListener("pointermove", nearest);
    chart.addEventListener("pointerdown", nearest);
    chart.addEventListener("pointerleave", hide);
  }

  const plots = [...document.querySelectorAll(".plot")];
  const off = new Set();

  // Curves: the means of all arms at the epoch under the pointer.
  const written = (number, kind) => {
    if (kind === "fraction") return (100 * number).toFixed(2) + " %";
    return String(Number(number.toPrecision(4)));
  };
  for (const plot of plots) {
    const area = plot.querySelector(".area"), cursor = plot.querySelector(".cursor");
    let data = null;
    const interval = (series, i) => {
      if (series.half) return series.half[i] === null ? "" : " \u00b1 " + written(series.half[i], data.kind);
      return series.low[i] === null ? "" : " [" + [series.low[i], series.high[i]].map((end) => written(end, data.kind)).join(", ") + "]";
    };
    const runs = (series, i) => {
      const all = series.n ? Math.max(...series.n) : 0;
      return series.n && series.n[i] < all ? ", " + series.n[i] + " of " + all + " runs" : "";
    };
    const told = (series, i) => written(series.mean[i], data.kind) + interval(series, i) + runs(series, i);
    const tell = (event) => {
      data ??= JSON.parse(plot.querySelector("script").textContent);
      const box = area.getBoundingClientRect(), at = (event.clientX - box.left) / box.width;
      const close = (series) => series.x.reduce((best, x, i) => Math.abs(x - at) < Math.abs(series.x[best] - at) ? i : best, 0);
      const shown = data.series.filter((series) => !off.has(series.arm));
      if (!shown.length) return hide();
      const longest = shown.reduce((a, b) => b.x.length > a.x.length ? b : a);
      const here = close(longest), name = longest.names[here];
      const lines = [];
      for (const series of shown) {
        // Epochs are common to all arms; layers differ from network to network.
        const i = data.what ? series.names.indexOf(name) : close(series);
        if (i < 0 || series.mean[i] === null) continue;
        lines.push([series.mean[i], series.arm + (data.what ? "" : ", " + series.names[i]) + ": " + told(series, i)]);
      }
      lines.sort((a, b) => a[0] - b[0]);
      const x = 1000 * longest.x[here];
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.style.visibility = "visible";
      show(event, [...(data.what ? [data.what + name] : []), ...lines.map((line) => line[1])]);
    };
    const leave = () => { cursor.style.visibility = "hidden"; hide(); };
    area.addEventListener("pointermove", tell);
    area.addEventListener("pointerdown", tell);
    area.addEventListener("pointerleave", leave);
  }

  // Of each group of plots, one is shown.
  for (const choices of document.querySelectorAll(".choices")) {
    const own = [...choices.nextElementSibling.querySelectorAll(".plot")], log = choices.querySelector("#log");
    const choose = () => {
      const name = choices.querySelector("input[type=radio]:checked").value;
      const named = own.filter((plot) => plot.dataset.curve === name);
      const wanted = log && log.checked && named.find((plot) => plot.dataset.scale === "log");
      const chosen = wanted || named[0];
      for (const plot of own) plot.hidden = plot !== chosen;
    };
    for (const input of choices.querySelectorAll("input")) input.addEventListener("change", choose);
    choose();
  }

  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const arm = button.dataset.arm, hidden = !off.has(arm);
      if (hidden) off.add(arm); else off.delete(arm);
      for (const same of document.querySelectorAll(".legend button")) {
        if (same.dataset.arm === arm) same.setAttribute("aria-pressed", String(!hidden));
      }
      for (const series of document.querySelectorAll(".series")) {
        if (series.dataset.arm === arm) series.classList.toggle("off", hidden);
      }
    });
  }
  addEventListener("scroll", hide, { passive: true });
  document.documentElement.dataset.ready = "yes";
})();
