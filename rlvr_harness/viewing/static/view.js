"use strict";
// Everything on these pages reads without this file; it adds keys, drawn maths, marks without a reload, news of a live run.
(() => {
  const MOST_FORMULAS = 3000; // in one text: a loop of the model that repeats a formula would stall the browser
  const LONGEST_FORMULA = 4000;
  const FORMULA = /\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|(?<![\\$\w])\$(?![\s$])((?:[^$\n\\]|\\.)+?)(?<![\s\\])\$(?![\d$])/g;

  const originals = new WeakMap();
  let drawn = true;
  try { drawn = localStorage.getItem("rlvr-view-maths") !== "raw"; } catch { /* storage may be off */ }

  function formula(source, display, whole) {
    const span = document.createElement("span");
    try {
      // An error is thrown and shown as the text itself: KaTeX's own red rendering needs inline styles.
      katex.render(source, span, {
        displayMode: display, throwOnError: true, trust: false, strict: "ignore", maxExpand: 200, maxSize: 20,
        errorColor: getComputedStyle(document.documentElement).getPropertyValue("--wrong").trim(),
      });
    } catch {
      span.textContent = whole;
      span.className = "bad-maths";
    }
    return span;
  }

  function drawNode(node, budget) {
    const pieces = document.createDocumentFragment();
    const text = node.data;
    let at = 0;
    for (const found of text.matchAll(FORMULA)) {
      if (budget.left <= 0) break;
      const source = found[1] ?? found[2] ?? found[3] ?? found[4];
      if (source.length > LONGEST_FORMULA) continue;
      budget.left -= 1;
      pieces.append(text.slice(at, found.index));
      pieces.append(formula(source, found[1] !== undefined || found[2] !== undefined, found[0]));
      at = found.index + found[0].length;
    }
    if (at) {
      pieces.append(text.slice(at));
      node.replaceWith(pieces);
    }
  }

  function draw(box) {
    if (originals.has(box) || typeof katex === "undefined") return;
    originals.set(box, [...box.childNodes].map((node) => node.cloneNode(true)));
    const budget = { left: MOST_FORMULAS };
    for (const node of [...box.childNodes]) if (node.nodeType === Node.TEXT_NODE) drawNode(node, budget);
  }

  function undraw(box) {
    const kept = originals.get(box);
    if (!kept) return;
    originals.delete(box);
    box.replaceChildren(...kept);
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && drawn) draw(entry.target);
  }, { rootMargin: "400px" });

  function setMaths() {
    const boxes = document.querySelectorAll(".text");
    const toggle = document.getElementById("maths-toggle");
    toggle.hidden = boxes.length === 0;
    toggle.setAttribute("aria-pressed", String(drawn));
    toggle.textContent = drawn ? "Maths: drawn" : "Maths: raw text";
    for (const box of boxes) {
      seen.unobserve(box);
      if (drawn) seen.observe(box);
      else undraw(box);
    }
  }

  document.getElementById("maths-toggle").addEventListener("click", () => {
    drawn = !drawn;
    try { localStorage.setItem("rlvr-view-maths", drawn ? "drawn" : "raw"); } catch { /* storage may be off */ }
    setMaths();
  });

  // Keys: j and k go through the cards or rows, 1 2 3 mark, n writes a note, Enter opens a row.
  const cards = () => [...document.querySelectorAll("[data-card]")];
  const current = () => document.querySelector("[data-card].here") || document.activeElement?.closest("[data-card]");

  function go(card) {
    for (const each of document.querySelectorAll("[data-card].here")) each.classList.remove("here");
    card.classList.add("here");
    const target = card.matches("tr") ? card.querySelector("a") : card;
    target.focus({ preventScroll: true });
    card.scrollIntoView({ block: card.offsetHeight > innerHeight ? "start" : "nearest" });
  }

  function step(by) {
    const all = cards();
    const at = all.indexOf(current());
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by;
    if (all[next]) go(all[next]);
  }

  document.addEventListener("focusin", (event) => {
    const card = event.target.closest?.("[data-card]");
    if (!card) return;
    for (const each of document.querySelectorAll("[data-card].here")) if (each !== card) each.classList.remove("here");
    card.classList.add("here");
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") event.target.blur?.();
    if (event.target.closest?.("input, select, textarea")) return;
    const judgement = { 1: "right", 2: "wrong", 3: "unsure" }[event.key];
    if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
    else if (event.key === "n" && current()?.querySelector("[name=note]")) {
      current().querySelector("details.marking").open = true;
      current().querySelector("[name=note]").focus();
    } else if (judgement) {
      const card = current() || (cards().length === 1 ? cards()[0] : null);
      const form = card?.querySelector("form.mark");
      if (!form) return;
      card.querySelector("details.marking").open = true;
      form.requestSubmit(form.querySelector(`button[value=${judgement}]`));
    } else return;
    event.preventDefault();
  });

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form.mark") || !event.submitter) return;
    event.preventDefault();
    const fault = form.querySelector(".mark-fault");
    const sent = new URLSearchParams(new FormData(form));
    sent.set("judgement", event.submitter.value);
    let answer = null;
    try {
      answer = await fetch(form.action, { method: "POST", body: sent, headers: { "X-Fragment": "marks" } });
    } catch { /* told below */ }
    fault.hidden = Boolean(answer?.ok);
    if (!answer?.ok) {
      fault.textContent = answer ? `The mark was not stored (${answer.status}).` : "The server does not answer; the mark was not stored.";
      return;
    }
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    const card = form.closest("[data-card]");
    card.querySelector(".mark-list").replaceChildren(...parsed.body.childNodes);
    card.querySelector("details.marking > summary").textContent = "Chain of thought: marked";
    form.querySelector("[name=note]").value = "";
    for (const other of document.querySelectorAll("form.mark [name=by]")) if (!other.value) other.value = sent.get("by");
    if (card.hasAttribute("data-queue")) step(1);
  });

  // A run that is being written: say when there is more, never change the page under the reader.
  const page = document.documentElement.dataset;
  if (page.live === "yes") {
    const note = document.getElementById("live-note");
    const ask = async () => {
      if (document.hidden) return;
      try {
        const state = await (await fetch("/live")).json();
        if (String(state.generation) === page.generation) return;
        note.textContent = `The run has written more: ${state.samples.toLocaleString("en")} samples now. Reload the page to see them.`;
        note.hidden = false;
      } catch { /* the server has ended; the page stays readable */ }
    };
    setInterval(ask, 5000);
  }

  // Forms are sent without their empty fields, so that addresses stay short.
  document.addEventListener("formdata", (event) => {
    if (event.target.method !== "get") return;
    for (const [name, value] of [...event.formData.entries()]) if (value === "") event.formData.delete(name);
  });

  setMaths();
})();
