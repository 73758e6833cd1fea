// Charts to point at, definitions on hover, folded tables that open when linked to. The page is whole without this.
(() => {
  "use strict";

  const MARKS = ["circle", "square", "diamond", "triangle-up"];
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const drawn = new Map();
  const coarse = matchMedia("(pointer: coarse)").matches;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (index) => (index < 0 ? css("--muted") : css(`--c${index % 6}`));
  // The library reads <b>, <a> and entities in labels; names of models and tasks are plain text.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const faded = (hex, share) => hex + Math.round(255 * share).toString(16).padStart(2, "0");

  function band(series) {
    const known = series.x.map((_, i) => i).filter((i) => series.low[i] !== null && series.high[i] !== null);
    if (known.length < 2) return [];
    const back = [...known].reverse();
    return [{
      x: [...known, ...back].map((i) => series.x[i]),
      y: [...known.map((i) => series.low[i]), ...back.map((i) => series.high[i])],
      fill: "toself", fillcolor: faded(colour(series.colour), 0.16), mode: "lines", line: { width: 0 },
      hoverinfo: "skip", showlegend: false, legendgroup: plain(series.name),
    }];
  }

  function line(series) {
    const shade = colour(series.colour);
    const side = Boolean(series.style);
    return {
      x: series.x, y: series.y, text: series.text.map(plain), hoverinfo: "text", name: plain(series.name),
      legendgroup: plain(series.name), mode: side ? "lines" : "lines+markers",
      line: { color: shade, width: side ? 1.6 : 2.4, dash: series.style || "solid" },
      marker: { color: shade, size: 7, symbol: MARKS[Math.max(series.colour, 0) % 4], maxdisplayed: 12 },
    };
  }

  // Drawn as data, so that they follow the axes from log to linear and back.
  function crossing(mark, low, high, number) {
    const ink = css("--ink");
    const place = high - 0.075 * number * (high - low);  // names of crossings side by side stand one below the other
    const traces = [{
      x: [mark.k, mark.k, mark.k], y: [low, high, place], mode: "lines+text", text: ["", "", plain(mark.name)],
      textposition: number ? "middle right" : "top center",
      textfont: { color: ink, size: 13 }, line: { color: ink, width: 1.4, dash: "3px,3px" }, hoverinfo: "skip",
      name: "crossover", showlegend: false, cliponaxis: false,
    }];
    if (mark.low !== null && mark.high !== null) {
      traces.unshift({
        x: [mark.low, mark.high, mark.high, mark.low], y: [low, low, high, high], fill: "toself", mode: "lines",
        fillcolor: faded(ink, 0.07), line: { width: 0 }, hoverinfo: "skip", showlegend: false,
      });
    }
    return traces;
  }

  function reach(plot) {
    const values = plot.series.flatMap((one) => [...one.y, ...(one.low || []), ...(one.high || [])]);
    const known = values.filter((value) => value !== null);
    return [Math.min(0, ...known), Math.max(...known) * 1.02];
  }

  function traces(plot) {
    if (plot.kind === "bars") {
      return plot.series.map((one) => ({
        type: "bar", x: one.x, y: one.y, text: one.text.map(plain), textposition: "none", hoverinfo: "text",
        name: plain(one.name), marker: { color: colour(one.colour) },
      }));
    }
    if (plot.kind === "cells") {
      return plot.series.map((one) => ({
        x: one.x, y: one.y, mode: "markers", hovertext: one.text.map(plain), hoverinfo: "text", name: plain(one.name),
        marker: {
          symbol: "square", color: faded(colour(one.colour), 0.55), size: one.size.map((size) => Math.max(6, 26 * size)),
          line: { color: colour(one.colour), width: 1 },
        },
      }));
    }
    if (plot.kind === "points") {
      return plot.series.map((one) => ({
        x: one.x, y: one.y.map(plain), mode: "markers", text: one.text.map(plain), hoverinfo: "text", name: plain(one.name),
        marker: { color: colour(one.colour), size: 10, symbol: MARKS[one.colour % 4] },
        error_x: {
          type: "data", symmetric: false, color: colour(one.colour), thickness: 2,
          array: one.x.map((x, i) => (one.high[i] === null ? 0 : one.high[i] - x)),
          arrayminus: one.x.map((x, i) => (one.low[i] === null ? 0 : x - one.low[i])),
        },
      }));
    }
    const [low, high] = reach(plot);
    return [
      ...plot.crossings.flatMap((mark, i) => crossing(mark, low, high, i)),
      ...(plot.bands ? plot.series.flatMap(band) : []),
      ...plot.series.map(line),
    ];
  }

  function layout(plot, log, width) {
    const axis = {
      gridcolor: css("--grid"), linecolor: css("--muted"), zeroline: false, automargin: true, tickfont: { size: 12 },
    };
    const title = (text) => ({ text: plain(text), font: { size: 13 }, standoff: 8 });
    const x = { ...axis, title: title(plot.x) };
    const y = { ...axis, title: title(plot.y) };
    const short = width < 620;
    const ends = (plot.kind === "cells" || plot.kind === "bars") && plot.bins.map((_, i) => String(10 * i));
    if (plot.kind === "lines") {
      const ticks = plot.ticks.length > 10 ? plot.ticks.filter((_, i) => i % 2 === 0) : plot.ticks;  // more would be tilted
      if (ticks.length) Object.assign(x, { tickvals: ticks, ticktext: ticks.map((k) => k.toLocaleString("en")) });
      x.type = plot.ticks.length && log ? "log" : "linear";
      y.rangemode = "tozero";
      if (plot.zero) Object.assign(y, { zeroline: true, zerolinecolor: css("--ink"), zerolinewidth: 1.2 });
    }
    if (plot.kind === "cells") {
      const ticks = { tickvals: plot.bins.map((_, i) => i), ticktext: short ? ends : plot.bins, range: [-0.6, plot.bins.length - 0.4] };
      Object.assign(x, ticks);
      Object.assign(y, ticks);
    }
    if (plot.kind === "bars") Object.assign(x, { type: "category", tickvals: plot.series[0].x, ticktext: short ? ends : plot.series[0].x });
    if (ends && short) x.title.text += " (upper end of each bin)";
    if (plot.kind === "points") x.rangemode = "tozero";
    if (plot.kind === "points") Object.assign(y, { type: "category", autorange: "reversed", title: undefined });
    const hover = { bgcolor: css("--card"), bordercolor: css("--rule"), font: { color: css("--ink"), size: 13 }, align: "left" };
    const along = { type: "line", x0: 0, y0: 0, x1: 10, y1: 10, line: { color: css("--muted"), width: 1, dash: "dot" }, layer: "below" };
    return {
      xaxis: x, yaxis: y, autosize: true, height: plot.kind === "cells" ? 460 : 400,
      margin: { l: 46, r: coarse ? 14 : 40, t: 34, b: 44 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: css("--muted"), activecolor: css("--ink") },
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: css("--muted") },
      hovermode: plot.kind === "lines" ? "x" : "closest", hoverlabel: hover, dragmode: coarse ? false : "zoom",
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { color: css("--ink") } },
      showlegend: plot.series.length > 1, bargap: 0.25, shapes: plot.kind === "cells" ? [along] : [],
    };
  }

  const config = {
    responsive: true, displaylogo: false, displayModeBar: coarse ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"], toImageButtonOptions: { format: "svg", filename: "figure" },
  };

  function draw(state) {
    return Plotly.react(state.live, traces(state.plot), layout(state.plot, state.log, state.live.clientWidth), config);
  }

  function button(text, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", () => act(made));
    return made;
  }

  function bringToLife(holder) {
    const plot = plots[holder.dataset.plot];
    if (drawn.has(holder) || !plot || !plot.series.length) return;
    const live = document.createElement("div");
    live.className = "live";
    const state = { plot, live, log: true };
    drawn.set(holder, state);
    const tools = document.createElement("div");
    tools.className = "tools";
    if (plot.kind === "lines" && plot.ticks.length) {
      const flip = button("log k", () => {
        state.log = !state.log;
        flip.setAttribute("aria-pressed", String(state.log));
        draw(state);
      });
      flip.setAttribute("aria-pressed", "true");
      tools.append(flip);
    }
    tools.append(button("reset zoom", () => Plotly.relayout(live, { "xaxis.autorange": true, "yaxis.autorange": true }).then(() => draw(state))));
    holder.append(tools, live);
    holder.classList.add("alive");
    draw(state);
  }

  // Drawn when they come near the screen: a page over many runs holds dozens.
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        near.unobserve(entry.target);
        bringToLife(entry.target);
      }
    }
  }, { rootMargin: "600px" });
  for (const holder of document.querySelectorAll("[data-plot]")) near.observe(holder);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(draw));

  // Definitions: a tap or a key opens them without script; with one they stand beside their word, and hovering opens them.
  function place(bubble, word) {
    const at = word.getBoundingClientRect();
    const wide = bubble.offsetWidth;
    bubble.classList.add("beside");
    bubble.style.left = `${Math.max(8, Math.min(at.left, innerWidth - wide - 8))}px`;
    const below = at.bottom + 6;
    const fits = below + bubble.offsetHeight < innerHeight;
    bubble.style.top = `${fits ? below : Math.max(8, at.top - bubble.offsetHeight - 6)}px`;
  }

  for (const word of document.querySelectorAll(".term")) {
    const bubble = document.getElementById(word.getAttribute("popovertarget"));
    let waiting = 0;
    let byHover = false;
    word.addEventListener("click", () => { byHover = false; setTimeout(() => bubble.matches(":popover-open") && place(bubble, word)); });
    word.addEventListener("mouseenter", () => {
      if (coarse) return;
      waiting = setTimeout(() => {
        if (bubble.matches(":popover-open")) return;
        bubble.showPopover();
        place(bubble, word);
        byHover = true;
      }, 250);
    });
    word.addEventListener("mouseleave", () => {
      clearTimeout(waiting);
      if (byHover && bubble.matches(":popover-open")) bubble.hidePopover();
      byHover = false;
    });
  }

  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    if (target) target.scrollIntoView({ block: "center" });
  }
  addEventListener("hashchange", reveal);
  reveal();
})();
